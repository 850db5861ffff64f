/**
 * The Manycast client for browsers: watches one stream through lost connections, sleep and dead servers.
 *
 * An ES module without dependencies, on native EventSource. It implements docs/protocol.md and does not touch the DOM.
 */

export const EVENTS = ["start", "chunk", "restart", "done", "step", "input", "emit", "ping", "viewers", "gap"];
const LOGGED = new Set(["start", "chunk", "restart", "done", "step", "input", "emit"]);
const ASKING = new Set(["asked", "refused"]); // the states of an open question
const ENDED = new Set(["completed", "cancelled", "failed"]);
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000];

/**
 * Turn the data of a `chunk` event back into the provider's chunk (docs/protocol.md, section 3).
 *
 * @param {object} shared  `chunk` of the epoch's `start` event
 * @param {object} difference  the data of the `chunk` event
 * @returns {object} the chunk as the provider sent it; shares nested values with its arguments
 */
export function merge(shared, difference) {
  const chunk = new Map(Object.entries(shared));
  for (const name of difference.$unset ?? []) chunk.delete(name);
  for (const [name, value] of Object.entries(difference)) {
    if (name === "$unset") continue;
    chunk.set(name.startsWith("$$") ? name.slice(1) : name, value);
  }
  return Object.fromEntries(chunk); // not by assignment: a field may be called __proto__
}

/**
 * Watch a stream until its end. Every event reaches `callbacks` once and in order, even if the connection breaks.
 *
 * @param {string} url  the stream's events, for example `/v1/streams/ID/events` (`urls.events` of POST /v1/streams);
 *   each request keeps the query, for example a ticket
 * @param {object} [callbacks]  see manycast.d.ts; each is optional
 * @param {object} [options]  `after`: the position to resume from; `stallAfterMs`: a connection without events for this
 *   long counts as dead (default 40000: gateways ping more often); `withCredentials`: send cookies to another origin
 * @returns {Viewer} `close()` stops watching; `position`, `state` and `finished` show the progress
 */
export function watch(url, callbacks = {}, options = {}) {
  return new Viewer(url, callbacks, options);
}

/** Calls the callback for each event, with complete chunks. It does not track positions. */
export class EventDispatcher {
  #callbacks;
  #shared = {}; // the fields that all chunks of this epoch share

  constructor(callbacks) {
    this.#callbacks = callbacks;
  }

  dispatch({ name, data, position }) {
    const { event, start, chunk, restart, gap, done, step, input, emit, viewers } = this.#callbacks;
    event?.({ name, data, position });
    switch (name) {
      case "start":
        this.#shared = data.chunk ?? {};
        return start?.(data, position);
      case "chunk":
        return chunk?.(merge(this.#shared, data), position);
      case "restart":
        return restart?.(data, position);
      case "gap":
        return gap?.(data);
      case "done":
        return done?.(data, position);
      case "step":
        return step?.(data, position);
      case "input":
        return input?.(data, position);
      case "emit":
        return emit?.(data, position);
      case "viewers":
        return viewers?.(data.viewers);
    }
  }
}

class Viewer {
  #callbacks;
  #dispatcher;
  #options;
  #url;
  #source = null;
  #lastEventAt = 0;
  #attempt = 0;
  #reopenTimer = 0;
  #silenceTimer = 0;
  #removeListeners;
  #finish;

  constructor(url, callbacks, options) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#callbacks = callbacks;
    this.#dispatcher = new EventDispatcher(callbacks);
    this.#options = { after: null, stallAfterMs: 40_000, withCredentials: false, connect: openEventSource, ...options };
    /** Position of the last event, `epoch-seq`, or null. */
    this.position = this.#options.after;
    /** See `State` in manycast.d.ts. */
    this.state = "connecting";
    /** Resolves with the data of `done`, or with null if there was none (`ended`, `gone`, `refused`, `closed`). */
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    this.#removeListeners = this.#listenToDevice();
    this.#silenceTimer = setInterval(() => this.#checkSilence(), Math.max(50, this.#options.stallAfterMs / 8));
    this.#open();
  }

  /** Stop watching. The run continues. */
  close() {
    this.#end("closed", null);
  }

  get #over() {
    return this.#finish === null;
  }

  #open() {
    clearTimeout(this.#reopenTimer);
    this.#source?.close();
    const url = new URL(this.#url);
    if (this.position) url.searchParams.set("after", this.position);
    const source = this.#options.connect(url, { withCredentials: this.#options.withCredentials });
    this.#source = source;
    this.#lastEventAt = Date.now();
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#receive(name, event));
    source.addEventListener("error", () => this.#onError(source));
  }

  #receive(name, event) {
    if (this.#over || event.target !== this.#source) return;
    this.#lastEventAt = Date.now();
    this.#attempt = 0;
    // EventSource repeats the last id for events that are not in the log. A `done` without an id comes from the gateway.
    const position = LOGGED.has(name) ? event.lastEventId || null : null;
    if (position !== null && name !== "done" && !isAfter(position, this.position)) return;
    if (position !== null) this.position = position;
    const data = JSON.parse(event.data);
    if (name === "gap") this.position = null; // a different log follows, from its start
    if (name === "ping") this.#enter(data.state);
    if (name === "chunk" || name === "step") this.#enter("streaming");
    if (name === "input") this.#enter(ASKING.has(data.state) ? "parked" : "streaming");
    this.#dispatcher.dispatch({ name, data, position });
    if (name === "done") this.#end("ended", data);
  }

  /** EventSource reconnects after a lost connection, but gives up after any status except 200: then ask for the reason. */
  #onError(source) {
    if (this.#over || source !== this.#source) return;
    const stays = this.state === "connecting" || this.state === "full"; // no working connection was lost
    this.#enter(globalThis.navigator?.onLine === false ? "offline" : stays ? this.state : "reconnecting");
    if (source.readyState === EventSource.CLOSED) this.#inspect(source);
  }

  async #inspect(source) {
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/\/events$/, "");
    const credentials = this.#options.withCredentials ? "include" : "same-origin";
    const verdict = await fetch(url, { cache: "no-store", credentials }).then(readStatus, () => null);
    if (this.#over || source !== this.#source) return;
    if (verdict?.status === 404) return this.#end("gone", null);
    if (verdict?.error && verdict.status < 500 && verdict.status !== 429) {
      this.#callbacks.refused?.(verdict);
      return this.#end("refused", null);
    }
    if (ENDED.has(verdict?.run?.status) && !isAfter(verdict.run.position, this.position)) return this.#end("ended", null);
    this.#reopenLater();
  }

  #reopenLater() {
    const backoff = BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)];
    clearTimeout(this.#reopenTimer);
    // Jitter: all viewers of a gateway lose it at the same moment.
    this.#reopenTimer = setTimeout(() => this.#open(), backoff * (0.5 + Math.random() / 2));
  }

  #checkSilence() {
    if (Date.now() - this.#lastEventAt < this.#options.stallAfterMs) return;
    this.#enter("reconnecting");
    this.#open();
  }

  /** Check the connection now: the device may have slept, and timers with it. `watch` calls this when the page notices. */
  wake() {
    if (this.#over) return;
    const quiet = Date.now() - this.#lastEventAt > this.#options.stallAfterMs / 4;
    if (quiet || this.#source.readyState !== EventSource.OPEN) this.#open();
  }

  #listenToDevice() {
    /** @type {[EventTarget, string, (event: any) => void][]} */
    const all = [
      [globalThis, "online", () => this.#open()], // perhaps on another network: the old connection is dead
      [globalThis, "offline", () => this.#enter("offline")],
      [globalThis, "pageshow", (event) => event.persisted && this.wake()],
      [globalThis.document, "visibilitychange", () => document.visibilityState === "visible" && this.wake()],
    ];
    const listeners = all.filter(([target]) => target?.addEventListener);
    for (const [target, name, listener] of listeners) target.addEventListener(name, listener);
    return () => listeners.forEach(([target, name, listener]) => target.removeEventListener(name, listener));
  }

  #enter(state) {
    if (this.#over || state === this.state) return;
    this.state = state;
    this.#callbacks.state?.(state);
  }

  #end(state, outcome) {
    if (this.#over) return;
    this.#source.close();
    clearTimeout(this.#reopenTimer);
    clearInterval(this.#silenceTimer);
    this.#removeListeners();
    this.#enter(state);
    this.#finish(outcome);
    this.#finish = null;
  }
}

function openEventSource(url, init) {
  return new EventSource(url, init);
}

/** Whether `position` comes after `other`; null comes before every event. */
export function isAfter(position, other) {
  const [epoch, seq] = (position ?? "0-0").split("-").map(Number);
  const [otherEpoch, otherSeq] = (other ?? "0-0").split("-").map(Number);
  return epoch > otherEpoch || (epoch === otherEpoch && seq > otherSeq);
}

/** Returns null if the response is not from a gateway, for example a proxy's error page. */
async function readStatus(answer) {
  const body = await answer.json().catch(() => null);
  if (body === null) return null;
  return answer.ok ? { status: answer.status, run: body } : body.error ? { status: answer.status, error: body.error } : null;
}
