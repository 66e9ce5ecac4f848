/* The search. Until a reader opens it, it only listens; then it loads the index (search-index.js, made by
   book/_ext/finder.py), first what has a name, then the text. Nothing is sent anywhere, and nothing is remembered. */
(() => {
  "use strict";
  const here = document.currentScript;
  const root = new URL("../", here.src).href;
  const page = document.getElementById("search-page");   // search.html has the search as its text
  const KINDS = ["Chapter", "Section", "Formula", "Function", "Member", "Exercise", "Figure", "Term", "Source"];
  const WEIGHTS = [1.5, 1.1, 1.15, 1.2, 0.35, 0.75, 0.6, 1.5, 0.55];
  const ALSO = { 2: "equation", 6: "figure" };
  const [CHAPTER, , FORMULA, FUNCTION, MEMBER, , , TERM] = KINDS.keys();
  const SHOWN = 24, AT_ONCE = 8;

  // Words. An identifier is found whole, by its parts and by its ends: md.layers.LayerNorm, layernorm, layer, norm.
  const WORD = /[\p{L}\p{M}\p{N}_]+(?:[.'’‑-][\p{L}\p{M}\p{N}_]+)*/gu;
  const COMMON = new Set(("a about all also an and any are as at be but by can do does each for from had has have how i if in "
    + "into is it its may more no not of on or our so such than that the their them then there these they this to too "
    + "us was we were what when where which who why will with would you your").split(" "));
  const fold = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const singular = word => word.length > 3 && /[^siu]s$/.test(word) ? word.slice(0, -1) : word;
  const known = new Map();
  function forms(word) {
    let found = known.get(word);
    if (found) return found;
    const pieces = word.split(/[.'’‑_-]|(?<=\p{Ll})(?=\p{Lu}\p{Ll})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u).filter(Boolean);
    const whole = word.replace(/['’]s$/, "").replace(/['’‑-]/g, "");
    found = [whole];
    if (word.includes(".")) for (let i = word.indexOf("."); i >= 0; i = word.indexOf(".", i + 1)) found.push(word.slice(i + 1));
    if (pieces.length > 1) found.push(...pieces);
    found = [...new Set(found.map(form => singular(fold(form))))].filter(form => form && !(form === "s" && pieces.length > 1));
    known.set(word, found);
    return found;
  }
  const wordsOf = text => text.match(WORD) || [];
  const termsOf = text => wordsOf(text).flatMap(forms).filter(term => !COMMON.has(term));
  const plain = text => fold(wordsOf(text.replace(/['’]/g, "")).join(" "));

  // The index, in two steps: the names are there at once, the text a moment later.
  let entries = null, engine = null, complete = false, loading = null;
  const waiting = new Set();
  const told = () => { for (const tell of waiting) tell(); };

  const load = name => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL(name, here.src).href;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const pause = () => new Promise(done => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });

  async function build(fields) {
    const made = new MiniSearch({
      fields, tokenize: termsOf, processTerm: term => term, extractField: (entry, field) => entry[field],
    });
    for (let i = 0, since = performance.now(); i < entries.length; i++) {
      made.add(entries[i]);
      if (performance.now() - since > 8) { await pause(); since = performance.now(); }
    }
    return made;
  }

  const slug = title => title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  function unpack(pages) {
    const found = [];
    for (const [address, chapter, name, list] of pages)
      for (const [kind, packed, number, title, shown = "", under = "", more = ""] of list) {
        const anchor = packed === 1 ? (kind >= FUNCTION ? title.replace(/^md/, "mathdl") : slug(title)) : packed;
        const label = kind === FORMULA ? anchor.replace("equation-", "") : "";
        const last = kind === FUNCTION || kind === MEMBER ? title.split(".").pop() : "";
        found.push({
          weight: WEIGHTS[kind] * (kind === FORMULA && under.startsWith(title.split(",")[0]) ? 1.3 : 1),   // the section is about it
          id: found.length, kind, title, shown, under, number, chapter, page: name, text: "",
          href: root + address + (anchor && `#${anchor}`),
          names: last ? `${title} ${anchor}` : label, words: `${under} ${KINDS[kind]} ${number} ${ALSO[kind] || ""} ${more}`,
          exact: [plain(title).replace(/^(the|an?) /, ""), fold(last), label, ...(number ? [number, `${KINDS[kind]} ${number}`, `${ALSO[kind]} ${number.replace(/\D+ /, "")}`].map(plain) : [])],
        });
      }
    return found;
  }

  function prepare() {
    loading ||= (async () => {
      await load(here.dataset.index || "search-index.js");
      const text = load(globalThis.SEARCH_TEXT_AT);
      text.catch(() => {});
      entries = unpack(globalThis.SEARCH_INDEX);
      engine = await build(["names", "title", "words", "shown"]);
      told();
      await text;
      globalThis.SEARCH_TEXT.forEach((said, i) => { entries[i].text = said; });
      engine = await build(["names", "title", "words", "shown", "text"]);
      complete = true;
      told();
    })().catch(() => { loading = null; for (const tell of waiting) tell("failed"); });
    return loading;
  }

  // What a reader types, and what was meant: another name, either spelling, a word written as two, a slip of the finger.
  const MEANT = {
    autograd: "automatic differentiation", bptt: "backpropagation time", cnn: "convolution", finite: "central", glorot: "xavier",
    gru: "gated", initialisation: "first weight", initialization: "first weight", kaiming: "he", lr: "learning rate", lstm: "gated",
    mlp: "perceptron", mse: "squared error", numerical: "difference", rnn: "recurrent",
  };
  const spellings = term => [term, ...(term.length > 5 ? [
    term.replace(/is(?=(?:e|a|i|$))/, "iz"), term.replace(/iz(?=(?:e|a|i|$))/, "is"), term.replace("our", "or"), term.replace(/or(?=i?n?g|s?$)/, "our"),
  ] : [])];
  function find(query) {
    let typed = wordsOf(query);
    const meant = typed.filter(word => !COMMON.has(fold(word)));
    if (meant.length) typed = meant;
    if (!typed.length) return [];
    const one = word => {
      const [whole, ...pieces] = forms(word);
      const parts = pieces.filter(piece => !whole.endsWith("." + piece) && !whole.includes("." + piece + "."));
      const ways = [...new Set(spellings(whole))];
      for (const several of [parts, MEANT[whole]?.split(" ") || []])
        if (several.length) ways.push({ combineWith: "AND", queries: several });
      return { combineWith: "OR", queries: ways };
    };
    const options = {
      fields: complete ? ["names", "title", "words", "shown", "text"] : ["names", "title", "words", "shown"],
      boost: { names: 4, title: 4, words: 2, shown: 1.2, text: 1 },
      prefix: term => term.length > 1, fuzzy: term => (term.length > 4 ? 0.2 : false), maxFuzzy: 2,
      weights: { prefix: 0.5, fuzzy: 0.25 }, tokenize: term => [term], processTerm: term => term,
      boostDocument: id => entries[id].weight,
    };
    const each = typed.map(one);
    const together = { combineWith: "AND", queries: each };
    const joined = typed.length === 2 ? [singular(fold(typed.join("")))] : [];
    let results = engine.search({ combineWith: "OR", queries: [together, ...joined] }, options);
    if (results.length < 3 && typed.length > 1) {
      const seen = new Set(results.map(result => result.id));
      results = results.concat(engine.search({ combineWith: "OR", queries: each }, options).filter(result => !seen.has(result.id))
        .slice(0, 10).map(result => ({ ...result, score: result.score / 100 })));
    }
    const asked = plain(query).replace(/^(the|an?) (?=.)/, ""), label = query.trim().toLowerCase();
    const same = name => name && (name === asked || name === label || name === joined[0]);
    for (const result of results) {
      const { exact, kind } = entries[result.id];
      if (exact.some(same)) result.score *= kind === FUNCTION ? 6 : kind === MEMBER ? 1.5 : 4;
      else if (exact[0].startsWith(asked)) result.score *= 1 + asked.length / exact[0].length;
    }
    return results.sort((a, b) => b.score - a.score);
  }

  // What is shown: text nodes and marks only.
  const element = (tag, name, ...inside) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...inside);
    return made;
  };
  function marked(text, terms) {
    const parts = [];
    let done = 0;
    for (const word of text.matchAll(WORD)) {
      if (!forms(word[0]).some(form => terms.has(form))) continue;
      parts.push(text.slice(done, word.index), element("mark", "", word[0]));
      done = word.index + word[0].length;
    }
    return [...parts, text.slice(done)].filter(part => part !== "");
  }
  function passage(text, terms, length = 150) {
    if (text.length <= length) return text;
    const hits = [...text.matchAll(WORD)].filter(word => forms(word[0]).some(form => terms.has(form))).map(word => word.index);
    let best = 0, most = 0;   // the stretch with the most different words of the question
    for (const start of hits) {
      const near = new Set();
      for (const word of text.slice(start, start + length - 40).match(WORD) || [])
        for (const form of forms(word)) if (terms.has(form)) near.add(form);
      if (near.size > most) [best, most] = [start, near.size];
    }
    let start = best < 60 ? 0 : text.indexOf(" ", best - 40) + 1;
    const sentence = text.slice(Math.max(0, best - 60), best).search(/[.?!] (?=[^.?!]*$)/);
    if (best >= 60 && sentence >= 0) start = best - 60 + sentence + 2;
    const end = start + length >= text.length ? text.length : text.lastIndexOf(" ", start + length);
    return (start ? "… " : "") + text.slice(start, end) + (end < text.length ? " …" : "");
  }
  function shownAs(entry, terms, id) {
    const { kind, number, chapter, under } = entry;
    const label = kind === CHAPTER && !number ? "Page" : KINDS[kind];
    const what = !number ? label : /^Part/.test(number) ? number : kind === FORMULA ? `${label} (${number})` : number.startsWith(label) ? number : kind > FORMULA ? number : `${label} ${number}`;
    const where = kind === CHAPTER ? "" : [`${chapter} ${entry.page}`.trim(), kind !== TERM && under].filter(Boolean).join(" › ");
    const option = element("a", `kind-${KINDS[kind].toLowerCase()}`,
      element("span", "what", what, where && element("span", "where", where)),
      element("span", "title", ...marked(entry.title, terms)));
    const said = kind === FORMULA ? entry.shown : entry.text || entry.shown;
    if (said) option.append(element("span", "said", ...marked(kind === FORMULA ? said : passage(said, terms), terms)));
    option.href = entry.href;
    option.id = id;
    option.tabIndex = -1;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    return option;
  }

  // The field with its list, in the dialog or in the page.
  let mounted = 0;
  function mount(box, leave) {
    const name = `search-${++mounted}`;
    const input = element("input"), list = element("div", "results"), status = element("p", "status"), hint = element("p", "hint");
    const attributes = {
      type: "text", inputmode: "search", role: "combobox", "aria-label": "Search the book", "aria-expanded": "false", "aria-autocomplete": "list",
      "aria-controls": name, placeholder: "Search the book", autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "go",
    };
    for (const [key, value] of Object.entries(attributes)) input.setAttribute(key, value);
    list.id = name;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Results");
    list.hidden = true;
    status.setAttribute("role", "status");
    const index = element("a", "", "index");
    index.href = `${root}genindex.html`;
    hint.append("A formula by its name, a function of ", element("code", "", "mathdl"), ", a heading, a term, any words: ",
      element("em", "", "softmax jacobian"), ", ", element("em", "", "check_jacobian"), ", ", element("em", "", "vanishing gradients"), ". The ", index, " lists functions and terms.");
    box.append(element("div", "field", input), status, list, hint);

    let active = -1, announce = 0, rest = 0, asked = 0;
    const options = () => list.children;
    function choose(i) {
      options()[active]?.setAttribute("aria-selected", "false");
      active = i;
      const option = options()[i];
      if (!option) { input.removeAttribute("aria-activedescendant"); return; }
      option.setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }
    function say(text, now) {
      clearTimeout(announce);
      status.classList.toggle("quiet", !text);
      announce = setTimeout(() => { status.textContent = text; }, now ? 0 : 350);   // not at every letter
    }
    function show(problem) {
      const query = input.value.trim();
      cancelAnimationFrame(asked);
      asked = 0;
      choose(-1);
      if (problem) { list.hidden = true; say("The index could not be loaded.", true); return; }
      if (!query || !engine) {
        clearTimeout(rest);
        list.replaceChildren();
        list.hidden = true;
        hint.hidden = false;
        input.setAttribute("aria-expanded", "false");
        say(query ? "Loading …" : "", !query);
        return;
      }
      const results = find(query);
      const made = (from, to) => results.slice(from, to).map((result, i) =>
        shownAs(entries[result.id], new Set(result.terms), `${name}-${from + i}`));
      list.replaceChildren(...made(0, AT_ONCE));   // what is in sight; the rest when that has been painted
      list.scrollTop = 0;
      clearTimeout(rest);
      rest = setTimeout(() => list.append(...made(AT_ONCE, SHOWN)), 100);
      list.hidden = !results.length;
      hint.hidden = results.length > 0;
      input.setAttribute("aria-expanded", String(results.length > 0));
      const count = results.length === 1 ? "1 result" : `${results.length} results`;
      say(results.length > SHOWN ? `${count}, the best ${SHOWN} shown` : results.length || complete ? (results.length ? count : `Nothing found for “${query}”.`) : "Loading …");
    }
    const soon = () => { asked ||= requestAnimationFrame(() => show()); };   // letters typed faster than frames are answered at once
    input.addEventListener("input", () => {
      soon();
      if (!leave) try { history.replaceState(null, "", `?q=${encodeURIComponent(input.value.trim())}`); } catch { /* not from a file */ }
    });
    input.addEventListener("keydown", event => {
      if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (asked && /^(Arrow(Up|Down)|Enter)$/.test(event.key)) show();
      const count = options().length;
      if (event.key === "ArrowDown" && count) choose((active + 1) % count);
      else if (event.key === "ArrowUp" && count) choose(active <= 0 ? count - 1 : active - 1);
      else if (event.key === "Enter" && count) options()[Math.max(active, 0)].click();
      else return;
      event.preventDefault();
    });
    list.addEventListener("click", event => {
      const option = event.target.closest("a");
      if (!option || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      leave?.();
      if (option.href.split("#")[0] !== location.href.split("#")[0].split("?")[0]) return;
      event.preventDefault();
      if (option.hash) location.hash = option.hash;
      arrive(option.hash);
    });
    waiting.add(problem => { if (problem || (input.value.trim() && active < 0)) show(problem); });   // a choice made is kept
    return { input, show };
  }

  // On this page: what is folded around the target is unfolded, and reading goes on there.
  function arrive(hash) {
    const target = hash ? document.getElementById(decodeURIComponent(hash.slice(1))) : document.querySelector("h1");
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
    if (target.matches("a, button, input, summary")) return;
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  let dialog = null, field = null, inPage = null;
  function open() {
    if (page) { inPage.input.focus(); inPage.input.select(); return; }
    if (!dialog) {
      dialog = element("dialog", "search");
      dialog.setAttribute("aria-label", "Search");
      const close = element("button", "close", "Close");
      close.type = "button";
      close.addEventListener("click", () => dialog.close());
      field = mount(dialog, () => dialog.close());
      dialog.querySelector(".field").append(close);
      dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
      dialog.addEventListener("close", () => { field.input.value = ""; field.show(); });
      document.body.append(dialog);
    }
    if (!dialog.open) dialog.showModal();
    field.input.focus();
    prepare();
  }
  // The key "/" is course.js's, with the other single keys, which readers can switch off; it presses the button.
  for (const button of document.querySelectorAll(".open-search")) button.addEventListener("click", open);
  addEventListener("keydown", event => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    open();
  });

  if (page) {
    inPage = mount(page, null);
    page.hidden = false;
    inPage.input.value = new URLSearchParams(location.search).get("q") || "";
    inPage.show();
    prepare();
  }
})();
