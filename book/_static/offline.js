/* Lets the book be put among a device's programs, and kept for reading without a network (sw.js). */
(() => {
  if (!location.protocol.startsWith("http")) return;   // opened as a file, the book is on the device already
  const root = document.documentElement.dataset.root;
  document.head.append(Object.assign(document.createElement("link"), { rel: "manifest", href: `${root}manifest.webmanifest` }));

  if (!("serviceWorker" in navigator)) return;
  const keep = async () => {
    try {
      await navigator.serviceWorker.register(`${root}sw.js`);
      const { active } = await navigator.serviceWorker.ready;
      if (!navigator.connection?.saveData) active.postMessage("keep everything");
    } catch { /* private windows and some settings refuse; the pages need nothing of it */ }
  };
  // Only when the page has long been there and the reader has stayed: a glance should not cost a book.
  const idle = window.requestIdleCallback ?? (task => task());
  addEventListener("load", () => setTimeout(() => idle(keep), 4000));
})();
