/**
 * Reduces the connections of one browser. On HTTP/1.1, browsers allow six per host: pages beyond that wait.
 *
 * The first tab has its own connection. Later tabs watch through a shared worker, which has one connection for all their
 * streams and sends a late tab all earlier events. In a browser without shared workers, every tab has its own connection.
 * Needs manycast.js, worker-viewer.js, shared-connection.js and joint-connection.js beside it.
 */

import { watch } from "./manycast.js";

const OWN_CONNECTIONS = 1;

/**
 * Like `watch` of manycast.js, with the same arguments and result.
 *
 * @param {object} [options]  those of `watch`; `ticket`: the ticket of a private stream, if it is not in the URL;
 *   `ownLines`: how many tabs of this browser have their own connection
 */
export function watchShared(url, callbacks = {}, options = {}) {
  return new SharedViewer(new URL(url, location.href).href, callbacks, options);
}

class SharedViewer {
  #inner = null;
  #isClosed = false;

  constructor(url, callbacks, { ownLines = OWN_CONNECTIONS, ...options }) {
    this.finished = this.#begin(url, callbacks, ownLines, options);
  }

  get state() {
    return this.#inner?.state ?? (this.#isClosed ? "closed" : "connecting");
  }

  get position() {
    return this.#inner?.position ?? null;
  }

  close() {
    this.#isClosed = true;
    this.#inner?.close();
  }

  async #begin(url, callbacks, ownLines, options) {
    const release = globalThis.SharedWorker ? await acquireConnection(ownLines) : () => {};
    if (this.#isClosed) return release?.() ?? null;
    const module = release ? null : await import("./worker-viewer.js").catch(() => null);
    if (this.#isClosed) return release?.() ?? null;
    this.#inner = module ? new module.WorkerViewer(url, callbacks, options) : watch(url, callbacks, options);
    const done = await this.#inner.finished.catch(() => {
      this.#inner = watch(url, callbacks, { ...options, after: this.position }); // the worker could not be loaded
      return this.#inner.finished;
    });
    release?.();
    return done;
  }
}

/**
 * Acquires one of the browser's own connections. Returns a function that releases it, or null if all are in use. Without
 * locks, which need https or localhost, nobody can count them: then all are in use.
 */
async function acquireConnection(ownLines) {
  if (!navigator.locks) return null;
  for (let number = 1; number <= ownLines; number += 1) {
    const release = await new Promise((resolve) => {
      // The browser holds the lock until this promise resolves.
      const hold = (lock) => (lock ? new Promise((unlock) => resolve(unlock)) : resolve(null));
      navigator.locks.request(`manycast-line-${number}`, { ifAvailable: true }, hold);
    });
    if (release) return release;
  }
  return null;
}
