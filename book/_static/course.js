/* The little the pages do by themselves. Everything can be read without it. */
(() => {
  // What scrolls sideways must be reachable with the keyboard.
  const reach = () => {
    for (const box of document.querySelectorAll("div.math, .bd-article pre, .bd-article figure, .pst-scrollable-table-container")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", "Scrolls sideways");
      } else if (box.getAttribute("aria-label") === "Scrolls sideways") {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    }
  };
  addEventListener("resize", reach);
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", reach);
  document.fonts?.ready.then(reach);
  reach();

  // A figure made by md.plot.moving plays where its address ends on #play; a new query makes it begin again.
  const stills = [];
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const image of calm ? [] : document.querySelectorAll("figure.moving img")) {
    const still = image.src, button = document.createElement("button");
    button.type = "button";
    button.className = "play";
    button.textContent = "Play";
    button.setAttribute("aria-label", `Play: ${image.closest("figure").querySelector("figcaption .caption-number")?.textContent.trim() || "the figure"}`);
    button.addEventListener("click", () => { image.src = `${still}?${Date.now()}#play`; });
    image.after(button);
    stills.push(() => { if (image.src !== still) image.src = still; });
  }

  // On paper nothing moves, and nothing can be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    for (const still of stills) still();
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of folded) fold.open = false;
  });
})();
