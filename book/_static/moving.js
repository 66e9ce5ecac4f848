/* Figures made by md.plot.moving play where their address ends on #play; a new query makes them begin again. */
(() => {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const stills = [];
  for (const image of document.querySelectorAll("figure.moving img")) {
    const still = image.src, button = document.createElement("button");
    const number = image.closest("figure").querySelector("figcaption .caption-number")?.textContent.trim();
    button.type = "button";
    button.className = "play";
    button.textContent = "Play";
    button.setAttribute("aria-label", `Play: ${number || "the figure"}`);
    button.addEventListener("click", () => { image.src = `${still}?${Date.now()}#play`; });
    image.after(button);
    stills.push(() => { if (image.src !== still) image.src = still; });
  }
  addEventListener("beforeprint", () => { for (const still of stills) still(); });   // on paper nothing moves
})();
