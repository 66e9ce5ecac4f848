/* Keeps the book, so that it can be read without a network.

   offline.py fills in the four names below. Every file is known by a hash of its content: what is kept is certain to
   belong to this version, what has not changed since the last version is taken over from it, and a page that asks for
   a style or script of another version (?v=…) gets it from the network. A version keeps its files in a cache of its
   own. A new version waits until it has what every page needs, and takes over when the reader goes to another page. */
"use strict";

const THIS_VERSION = "VERSION";
const CONTENTS = "HOME";                // shown in place of a page that is not to be had
const FIRST = ["SHELL"];                // what every page needs: kept before this version may serve
const FILES = new Map(Object.entries({ FILES: "" }));   // path from the root: hash
const HASHES = new Set(FILES.values());

const ROOT = new URL("./", location.href);
const OURS = `book ${ROOT.pathname} `;  // other sites of this host have caches of their own
const CACHE = OURS + THIS_VERSION;
// On one's own machine the files are being worked on: there the network comes first, and what is kept only replaces it.
const WORKSHOP = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
const ask = request => fetch(request, WORKSHOP ? { cache: "no-cache" } : undefined);

const address = path => new URL(path.split("/").map(encodeURIComponent).join("/"), ROOT).href;

/* The path of an address from the root, as FILES names it; null outside. What follows ? and # does not matter. */
function placed(url) {
  const { origin, pathname } = new URL(url);
  if (origin !== ROOT.origin || !pathname.startsWith(ROOT.pathname)) return null;
  const path = decodeURIComponent(pathname.slice(ROOT.pathname.length));
  return [path, `${path}.html`, `${path}/index.html`, `${path}index.html`].find(name => FILES.has(name)) ?? path;
}

// -- keeping ----------------------------------------------------------------------------------------------------------

async function hash(body) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(bytes.subarray(0, 5), byte => byte.toString(16).padStart(2, "0")).join("");
}

/* Keep what the network answered, if it is this version's file. */
async function store(path, response) {
  const body = await response.arrayBuffer(), found = await hash(body);
  if (found !== FILES.get(path)) throw new Error(`${path} belongs to another version`);
  const headers = { "Content-Type": response.headers.get("Content-Type") ?? "", ETag: found };
  await (await caches.open(CACHE)).put(address(path), new Response(body, { headers }));
}

async function olderCaches() {
  const names = (await caches.keys()).filter(name => name.startsWith(OURS) && name !== CACHE);
  return Promise.all(names.map(name => caches.open(name)));
}

async function keep(path) {
  const cache = await caches.open(CACHE), url = address(path);
  if (await cache.match(url)) return;
  for (const older of await olderCaches()) {
    const same = await older.match(url);
    if (same?.headers.get("ETag") === FILES.get(path)) return cache.put(url, same);
  }
  let problem;
  for (const cache of ["no-cache", "reload"]) {   // first ask whether what the browser has is still right, then anew
    try {
      const response = await fetch(url, { cache, priority: "low" });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      return await store(path, response);
    } catch (caught) { problem = caught; }
  }
  throw problem;
}

let keeping = null;
async function keepEverything() {
  const paths = [...FILES.keys()];
  for (let at = 0; at < paths.length; at += 4) {
    const batch = await Promise.allSettled(paths.slice(at, at + 4).map(keep));
    if (batch.every(({ status }) => status === "rejected")) return;   // the network is gone; another visit goes on
  }
}

addEventListener("install", event => event.waitUntil((async () => {
  const open = await clients.matchAll({ includeUncontrolled: true, type: "window" });
  const visited = open.map(({ url }) => placed(url)).filter(path => FILES.has(path));
  await Promise.all(Array.from(new Set([...FIRST, ...visited]), keep));
})()));

addEventListener("activate", event => event.waitUntil((async () => {
  const cache = await caches.open(CACHE);
  for (const older of await olderCaches()) {
    for (const { url } of await older.keys()) {
      const same = await older.match(url);
      if (same && same.headers.get("ETag") === FILES.get(placed(url)) && !await cache.match(url)) await cache.put(url, same);
    }
  }
  for (const name of await caches.keys()) if (name.startsWith(OURS) && name !== CACHE) await caches.delete(name);
  await clients.claim();
})()));

addEventListener("message", event => {
  if (event.data === "take over") skipWaiting();
  if (event.data === "keep everything") {
    keeping ??= keepEverything().finally(() => { keeping = null; });
    event.waitUntil(keeping);
  }
});

// -- answering --------------------------------------------------------------------------------------------------------

addEventListener("fetch", event => {
  const path = event.request.method === "GET" ? placed(event.request.url) : null;
  if (path === null) return;
  if (event.request.mode === "navigate") event.respondWith(page(event, path));
  else if (FILES.has(path)) event.respondWith(file(event, path));
});

async function page(event, path) {
  const next = registration.waiting;
  if (next) {
    next.postMessage("take over");   // the new version answers when the browser asks again, which it does at once
    return new Response('<link rel="icon" href="data:,">', { headers: { Refresh: "0", "Content-Type": "text/html" } });
  }
  try {
    return await (FILES.has(path) ? file(event, path) : ask(event.request));
  } catch (problem) {
    if (path === CONTENTS) throw problem;
    return Response.redirect(address(CONTENTS));
  }
}

async function file(event, path) {
  const kept = await (await caches.open(CACHE)).match(address(path));
  const version = new URL(event.request.url).searchParams.get("v");
  const ours = version === null || HASHES.has(version);
  if (kept && ours && !WORKSHOP) return kept;
  try {
    const response = await ask(event.request);
    if (response.ok && ours && !kept) event.waitUntil(store(path, response.clone()).catch(() => {}));
    if (response.ok || !kept) return response;
  } catch (problem) {
    if (!kept) throw problem;
  }
  return kept;
}
