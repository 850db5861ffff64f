/**
 * Reduces the connections of one browser. On HTTP/1.1, browsers allow six per host: pages beyond that wait.
 *
 * The first tab has its own connection. Later tabs watch through a shared worker, which has one connection for all their
 * streams and sends a late tab all earlier events. In a browser without shared workers, every tab has its own connection.
 * Needs manycast.js, shared-connection.js and joint-connection.js beside it.
 */

import { EventDispatcher, watch } from "./manycast.js";

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
    this.#inner = release ? watch(url, callbacks, options) : new WorkerViewer(url, callbacks, options);
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

/** Receives the events of a stream from the shared worker. */
class WorkerViewer {
  #port;
  #finish;
  #leave;

  constructor(url, callbacks, options) {
    this.state = "connecting";
    this.position = options.after ?? null;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.fail = reject;
    });
    this.callbacks = callbacks;
    this.dispatcher = new EventDispatcher(callbacks);
    const worker = new SharedWorker(new URL("./shared-connection.js", import.meta.url), { type: "module", name: "manycast" });
    worker.onerror = () => this.fail(new Error("the worker could not be loaded"));
    this.#port = worker.port;
    this.#port.onmessage = ({ data }) => this.#receive(data);
    const join = (tab) => this.#port.postMessage({ url, options: { ...options, after: this.position }, tab });
    if (navigator.locks) this.#leave = holdLock(join);
    else this.#leave = announceLeaving(this.#port, join);
    this.wake = () => document.visibilityState === "visible" && this.#port.postMessage({ wake: true });
    document.addEventListener("visibilitychange", this.wake);
  }

  close() {
    this.#end("closed", null);
  }

  #receive({ event, state, refused, done }) {
    if (this.#finish === null) return;
    if (event) {
      if (event.position) this.position = event.position;
      if (event.name === "gap") this.position = null;
      this.dispatcher.dispatch(event);
    }
    if (refused) this.callbacks.refused?.(refused);
    if (done !== undefined) this.#end(state, done);
    else if (state) this.#enter(state);
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.callbacks.state?.(state);
  }

  #end(state, done) {
    if (this.#finish === null) return;
    const finish = this.#finish;
    this.#finish = null;
    document.removeEventListener("visibilitychange", this.wake);
    this.#leave();
    this.#port.close();
    this.#enter(state);
    finish(done);
  }
}

/** Joins the worker with a lock that the browser releases when the tab closes or crashes. Returns a function that releases it. */
function holdLock(join) {
  const tab = `manycast-tab-${crypto.randomUUID()}`;
  let release;
  const held = new Promise((resolve) => (release = resolve));
  navigator.locks.request(tab, () => {
    join(tab);
    return held;
  });
  return release;
}

/** Joins the worker without a lock, and tells it when the page closes. Returns a function that leaves it. */
function announceLeaving(port, join) {
  const leave = () => port.postMessage({ left: true });
  const returned = (event) => event.persisted && join();
  addEventListener("pagehide", leave);
  addEventListener("pageshow", returned);
  join();
  return () => {
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", returned);
    leave();
  };
}
