/* What every page does by itself: theme, outline, keys, the mark of what was read, folds. All can be read without it.
   Copy buttons (copy.js), figures that play (moving.js), search (search.js) come only with pages that use them. */
(() => {
  const root = document.documentElement;
  const later = globalThis.requestIdleCallback || (run => setTimeout(run, 200));
  const stored = {   // what the reader chose; without storage it holds for this page
    get: name => { try { return localStorage.getItem(name); } catch { return null; } },
    set: (name, value) => { try { value === null ? localStorage.removeItem(name) : localStorage.setItem(name, value); } catch { /* no storage */ } },
  };

  // Theme: light or dark, as the system says until the reader chooses.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const button = document.querySelector(".theme-switch");
  const name = () => button.setAttribute("aria-label", shown() === "dark" ? "Light colours" : "Dark colours");
  const switchTheme = () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    stored.set("theme", root.dataset.theme);
    name();
  };
  button.addEventListener("click", switchTheme);
  dark.addEventListener("change", name);
  name();

  // What scrolls sideways must be reachable with the keyboard. Long code is so from the start (course.py); what fits is
  // no stop on the way. Measured a box at a time, when it comes near: all at once would lay out the whole chapter.
  const SCROLLS = "div.math, article pre, article figure, .table-wrapper";
  const measure = box => {
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Scrolls sideways");
    } else if (box.hasAttribute("tabindex") && box !== document.activeElement) {
      for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
    }
  };
  const near = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) measure(target);
  }, { rootMargin: "400px" });
  const watch = () => {
    for (const box of document.querySelectorAll(SCROLLS)) {
      near.unobserve(box);   // being watched anew, it is measured anew
      near.observe(box);
    }
  };

  // Outline: the section that is being read. Where a section stands is known before it is laid out; those inside it are
  // asked for only when it is the one.
  const list = document.querySelector("#outline ul");
  const lastBegun = items => [...items?.children ?? []].filter(item => {
    const section = document.getElementById(decodeURIComponent(item.querySelector("a").hash.slice(1)));
    return section && section.getBoundingClientRect().top < innerHeight * 0.3;
  }).at(-1);
  let waiting = false;
  const follow = () => {
    waiting = false;
    const section = lastBegun(list), here = (lastBegun(section?.querySelector("ul")) ?? section)?.querySelector("a");
    const before = document.querySelector("#outline a.here");
    if (here === (before ?? undefined)) return;
    before?.classList.remove("here");
    before?.removeAttribute("aria-current");
    here?.classList.add("here");
    here?.setAttribute("aria-current", "location");
    if (here && matchMedia("(min-width: 62rem)").matches) here.scrollIntoView({ block: "nearest", behavior: "instant" });
  };
  if (list) {
    addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(follow); } }, { passive: true });
  }
  for (const side of document.querySelectorAll(".side nav"))   // an opened side closes when it has led somewhere
    side.addEventListener("click", event => { if (event.target.closest("a") && side.matches(":popover-open")) side.hidePopover(); });

  // Progress: a chapter is read when its end has been in sight. Kept here, in the reader's browser, and nowhere else.
  const read = new Set((stored.get("read") || "").split(" ").filter(Boolean));
  const mark = () => {
    for (const item of document.querySelectorAll("[data-page]")) {
      const is = read.has(item.dataset.page);
      if (is === item.classList.contains("read")) continue;
      item.classList.toggle("read", is);
      item.querySelector(".visually-hidden")?.remove();
      if (is) item.querySelector("a").insertAdjacentHTML("beforeend", '<span class="visually-hidden"> (read)</span>');
    }
  };
  const page = document.querySelector("#contents li.current")?.dataset.page, end = document.querySelector(".about-page");
  if (page && end) {
    new IntersectionObserver((entries, observer) => {
      if (!entries.some(entry => entry.isIntersecting) || scrollY < innerHeight) return;
      observer.disconnect();
      read.add(page);
      stored.set("read", [...read].join(" "));
      mark();
    }).observe(end);
  }

  // Keys, and the dialog that lists them. Single keys can be switched off, for those who dictate or press by accident.
  const single = () => stored.get("single-keys") !== "off";
  const go = selector => document.querySelector(selector)?.click();
  const KEYS = [
    ["/", "search the book", () => go(".open-search")],
    ["p", "the previous page", () => go(".turn .previous")],
    ["n", "the next page", () => go(".turn .next")],
    ["c", "the contents", () => {
      const side = document.getElementById("contents");
      if (matchMedia("(max-width: 62rem)").matches) side.togglePopover();
      side.querySelector("[aria-current], a").focus();
    }],
    ["t", "light or dark", switchTheme],
    ["?", "these keys", () => showKeys()],
  ];
  let dialog = null;
  const showKeys = () => {
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.className = "keys";
      dialog.setAttribute("aria-labelledby", "keys-title");
      dialog.innerHTML = `<h2 id="keys-title">Keyboard shortcuts</h2><dl>${KEYS.map(([key, what]) => `<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`).join("")}
        <dt><kbd>Ctrl</kbd> <kbd>K</kbd></dt><dd>search the book, too</dd><dt><kbd>Esc</kbd></dt><dd>close what is open</dd></dl>
        <label><input type="checkbox" class="single"> Single keys do this</label>
        <div class="buttons"><button type="button" class="close">Close</button><button type="button" class="forget">Forget which chapters I have read</button></div>`;
      const box = dialog.querySelector(".single"), forget = dialog.querySelector(".forget");
      box.addEventListener("change", () => stored.set("single-keys", box.checked ? null : "off"));
      dialog.querySelector(".close").addEventListener("click", () => dialog.close());
      forget.addEventListener("click", () => { read.clear(); stored.set("read", null); mark(); forget.textContent = "Forgotten"; });
      dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
      document.body.append(dialog);
    }
    dialog.querySelector(".single").checked = single();
    if (!dialog.open) dialog.showModal();
  };
  document.querySelector(".open-keys").addEventListener("click", showKeys);
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !single()) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });

  // A link into a fold opens it.
  const unfold = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      if (!fold.open) { fold.open = true; target.scrollIntoView(); }
    }
  };
  addEventListener("hashchange", unfold);
  unfold();

  // On paper nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("article details:not([open])")];
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of folded) fold.open = false; });

  // With a mouse comes a quick processor: what is laid out only near the reader is laid out in idle time, a section at a
  // time, so that the scrollbar is true and the browser's accessibility tree is whole.
  if (matchMedia("(pointer: fine)").matches) {
    addEventListener("load", () => {
      const rest = [...document.querySelectorAll("article > section > section, dl.glossary > dd")];
      const next = () => {
        for (const part of rest.splice(0, rest[0]?.matches("dd") ? 20 : 1)) {
          part.style.contentVisibility = "visible";
          for (const box of part.querySelectorAll(SCROLLS)) measure(box);
        }
        if (rest.length) later(next);
      };
      later(next);
    });
  }

  // What can wait until the page is there
  later(() => {
    mark();
    follow();
    watch();
    addEventListener("resize", watch);
    for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", watch);
    document.fonts?.ready.then(watch);
  });
})();
