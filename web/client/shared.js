/**
 * Many tabs of one browser, few lines: browsers allow six connections per host on HTTP/1.1, and a seventh tab would hang.
 *
 * The first tabs have lines of their own; those that come when all are taken watch through one worker, which has one
 * line per stream and tells a late tab everything it has heard. Where a browser has no shared workers or no locks (they
 * need https or localhost), every tab has its own line. Goes with manycast.js.
 */

import { Teller, watch } from "./manycast.js";

const OWN_LINES = 3;

/**
 * As `watch` of manycast.js, in arguments and in what it answers.
 *
 * @param {object} [options]  those of `watch`, and `ownLines`: how many lines of their own the tabs of this browser have
 */
export function watchShared(url, callbacks = {}, options = {}) {
  return new SharedViewer(new URL(url, location.href).href, callbacks, options);
}

class SharedViewer {
  #inner = null;
  #isClosed = false;

  constructor(url, callbacks, { ownLines = OWN_LINES, ...options }) {
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
    const canShare = globalThis.SharedWorker && globalThis.navigator.locks;
    const giveBack = canShare ? await takeLine(ownLines) : () => {};
    if (this.#isClosed) return giveBack?.() ?? null;
    this.#inner = giveBack ? watch(url, callbacks, options) : new WorkerViewer(url, callbacks, options);
    const done = await this.#inner.finished.catch(() => {
      this.#inner = watch(url, callbacks, { ...options, after: this.position }); // the worker cannot be had after all
      return this.#inner.finished;
    });
    giveBack?.();
    return done;
  }
}

/** One of the lines that the tabs of this browser have between them: how to give it back, or null where all are taken. */
async function takeLine(ownLines) {
  for (let number = 1; number <= ownLines; number += 1) {
    const giveBack = await new Promise((resolve) => {
      // The lock is held until the promise that is answered here resolves.
      const hold = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(null));
      navigator.locks.request(`manycast-line-${number}`, { ifAvailable: true }, hold);
    });
    if (giveBack) return giveBack;
  }
  return null;
}

/** Sees what the worker's line hears. */
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
    this.teller = new Teller(callbacks);
    const worker = new SharedWorker(new URL("./shared-connection.js", import.meta.url), { type: "module", name: "manycast" });
    worker.onerror = () => this.fail(new Error("the worker could not be loaded"));
    this.#port = worker.port;
    this.#port.onmessage = ({ data }) => this.#hear(data);
    // The worker waits for this lock: it is given up when the tab is closed or dies, and no tab can say so itself.
    const tab = `manycast-tab-${crypto.randomUUID()}`;
    navigator.locks.request(tab, () => {
      this.#port.postMessage({ url, options, tab });
      return new Promise((resolve) => (this.#leave = resolve));
    });
    this.wake = () => document.visibilityState === "visible" && this.#port.postMessage({ wake: true });
    document.addEventListener("visibilitychange", this.wake);
  }

  close() {
    this.#end("closed", null);
  }

  #hear({ event, state, refused, done }) {
    if (this.#finish === null) return;
    if (event) {
      if (event.position) this.position = event.position;
      this.teller.tell(event);
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
    this.#leave?.();
    this.#port.close();
    this.#enter(state);
    finish(done);
  }
}
