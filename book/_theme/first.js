/* Inlined at the top of every page, because it must come before the first paint: the theme that the reader chose,
   whether the address names a place on the page (which is then laid out as a whole), and the fonts of its opening,
   asked for before the stylesheet that names them (not from a file, where browsers refuse). */
(function () {
  var root = document.documentElement, theme = null;
  root.classList.remove("no-script");
  try { theme = localStorage.getItem("theme"); } catch (error) { /* no storage, no choice to remember */ }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  if (location.hash) root.dataset.whole = "";
  if (location.protocol === "file:") return;
  root.dataset.fonts.split(" ").forEach(function (font) {
    var link = document.createElement("link");
    link.rel = "preload"; link.as = "font"; link.type = "font/woff2"; link.crossOrigin = ""; link.href = root.dataset.root + "_static/" + font;
    document.head.appendChild(link);
  });
})();
