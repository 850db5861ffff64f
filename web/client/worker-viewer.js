/**
 * A tab's part of shared.js, in browsers whose first tab has the connection of its own.
 */

import { EventDispatcher } from "./manycast.js";

/** Receives the events of a stream from the shared worker. */
export class WorkerViewer {
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
