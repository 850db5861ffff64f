/**
 * One connection for many streams (docs/protocol.md, section 4, "Several streams on one connection").
 *
 * It uses fetch, because an EventSource can send the tickets of private streams only in the URL, where logs would keep them.
 */

import { EVENTS } from "./manycast.js";

const EVENTS_PATH = /^(.*\/v1)\/streams\/([A-Za-z0-9_-]{20,64})\/events$/;
const LOGGED = new Set(["start", "chunk", "restart", "done", "step", "input", "emit"]);
const STREAMS_LIMIT = 32;
const SETTLE_MS = 20; // several streams that come or go at once need one new connection
const RETRY_MS = 1000;
const BACKOFF_LIMIT_MS = 8000;
const ASK_AGAIN_MS = 60_000; // a gateway that cannot do this may be replaced by a newer one
const TEMPORARY = new Set([408, 425, 429]);

/** The connections of one worker: as few as possible. */
export class JointConnections {
  #all = [];
  #unsupportedUntil = new Map(); // by server

  /**
   * Like `new EventSource(url, init)`, and it is one if the gateway has no joint responses.
   *
   * @param {URL} url  the events of one stream, perhaps with `after` and `ticket`
   * @param {{withCredentials?: boolean, ticket?: string | null}} init
   * @returns {StreamSource | EventSource}
   */
  open(url, { withCredentials = false, ticket = null }) {
    const [, path, id] = url.pathname.match(EVENTS_PATH) ?? [];
    const extra = [...url.searchParams.keys()].some((name) => name !== "after" && name !== "ticket");
    const server = `${url.origin}${path}`;
    if (!id || extra || Date.now() < this.#unsupportedUntil.get(server)) return new EventSource(url, { withCredentials });
    const source = new StreamSource(url, id, withCredentials, url.searchParams.get("ticket") ?? ticket);
    this.#find(server, withCredentials, id).add(source);
    return source;
  }

  #find(server, withCredentials, id) {
    const fits = (each) => each.server === server && each.withCredentials === withCredentials && each.hasRoomFor(id);
    let connection = this.#all.find(fits);
    if (!connection) {
      const giveUp = () => this.#unsupportedUntil.set(server, Date.now() + ASK_AGAIN_MS);
      this.#all.push((connection = new JointConnection(server, withCredentials, giveUp)));
    }
    return connection;
  }
}

/** What a joint connection brings of one stream, in the form of an EventSource. */
class StreamSource extends EventTarget {
  #url;
  #withCredentials;
  #own = null; // an EventSource, if the stream cannot be on the joint connection
  /** @type {number} */
  #state = EventSource.CONNECTING;

  constructor(url, id, withCredentials, ticket) {
    super();
    this.id = id;
    this.ticket = ticket;
    this.position = url.searchParams.get("after");
    this.connection = null;
    this.#url = url;
    this.#withCredentials = withCredentials;
  }

  get readyState() {
    return this.#own?.readyState ?? this.#state;
  }

  close() {
    this.#state = EventSource.CLOSED;
    this.connection.remove(this);
    this.#own?.close();
  }

  // Called by the connection

  onOpen() {
    this.#state = EventSource.OPEN;
  }

  onEvent(name, data, position) {
    if (LOGGED.has(name)) this.position = position;
    if (name === "gap") this.position = null;
    this.dispatchEvent(new MessageEvent(name, { data, lastEventId: position ?? "" }));
  }

  /** The connection is lost; another one follows. */
  onLost() {
    this.#state = EventSource.CONNECTING;
    this.dispatchEvent(new Event("error"));
  }

  /** As after an answer with another status than 200. */
  onRefused() {
    this.#state = EventSource.CLOSED;
    this.dispatchEvent(new Event("error"));
  }

  /** Continues on a connection of its own. */
  leaveConnection() {
    const url = new URL(this.#url);
    if (this.position) url.searchParams.set("after", this.position);
    else url.searchParams.delete("after");
    const own = (this.#own = new EventSource(url, { withCredentials: this.#withCredentials }));
    own.addEventListener("error", () => this.dispatchEvent(new Event("error")));
    for (const name of EVENTS) {
      own.addEventListener(name, ({ data, lastEventId }) => this.dispatchEvent(new MessageEvent(name, { data, lastEventId })));
    }
  }
}

/** The streams of one server. Each change of the set opens a new connection, which replaces the old one when it is open. */
class JointConnection {
  #sources = new Map(); // by stream id
  #current = null; // the attempt whose events count
  #next = null; // the attempt that will replace it
  #timer = 0;
  #failures = 0;
  #retryMs = RETRY_MS;
  #giveUp;

  constructor(server, withCredentials, giveUp) {
    this.server = server;
    this.withCredentials = withCredentials;
    this.#giveUp = giveUp;
  }

  hasRoomFor(id) {
    return this.#sources.size < STREAMS_LIMIT && !this.#sources.has(id);
  }

  add(source) {
    source.connection = this;
    this.#sources.set(source.id, source);
    this.#openLater(SETTLE_MS);
  }

  remove(source) {
    if (this.#forget(source)) this.#openLater(SETTLE_MS);
  }

  /** Returns whether the source was part of the set. */
  #forget(source) {
    return this.#has(source) && this.#sources.delete(source.id);
  }

  #has(source) {
    return this.#sources.get(source.id) === source;
  }

  #openLater(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), ms);
  }

  #open() {
    clearTimeout(this.#timer);
    this.#next?.abort();
    this.#next = null;
    if (this.#sources.size === 0) {
      this.#current?.abort();
      this.#current = null;
      return;
    }
    const attempt = (this.#next = new Attempt(this.server, this.withCredentials, [...this.#sources.values()]));
    attempt.run((event) => this.#receive(attempt, event)).then((status) => this.#onEnd(attempt, status));
  }

  #receive(attempt, { name, data, id, retryMs }) {
    if (retryMs !== null) this.#retryMs = retryMs;
    if (name === "watching") return this.#replaceCurrent(attempt);
    if (name === "ping" && !id) return this.#onlyIn(attempt).forEach((source) => source.onEvent(name, data, null)); // it is full
    const [stream, places] = id.split(" ");
    const source = attempt.sources.find((each) => each.id === stream);
    // A stream that has left and come back may have another position than this connection.
    if (attempt !== this.#current || !source || !this.#has(source)) return;
    if (name === "gap" && this.#next) this.#openLater(0); // its positions are those of a log that no longer exists
    if (name === "closed") return this.#close(source, JSON.parse(data).status);
    if (name === "done") this.#forget(source);
    source.onEvent(name, data, places.split(",")[attempt.sources.indexOf(source)]);
  }

  #replaceCurrent(attempt) {
    this.#current?.abort();
    this.#current = attempt;
    this.#next = null;
    this.#failures = 0;
    attempt.sources.forEach((source) => source.onOpen());
  }

  /** A refused stream tries a connection of its own, which also has cookies, and shows the reason. */
  #close(source, status) {
    this.#forget(source);
    if (status === 401 || status === 403) source.leaveConnection();
    else source.onRefused();
  }

  #onEnd(attempt, status) {
    if (attempt.isAborted) return;
    if (attempt === this.#current) this.#current = null;
    else this.#next = null;
    if (status === 204) return attempt.sources.filter((source) => this.#has(source)).forEach((source) => this.#close(source, status));
    if (status >= 300 && status < 500 && !TEMPORARY.has(status)) return this.#leaveAll();
    if (this.#next) return; // it was about to replace this one
    const backoffMs = Math.min(RETRY_MS * 2 ** this.#failures++, BACKOFF_LIMIT_MS) * (0.5 + Math.random() / 2);
    // The gateway gives each client another time. After any other end, all clients would return at the same moment.
    this.#openLater(status === 200 ? this.#retryMs : backoffMs);
    this.#onlyIn(attempt).forEach((source) => source.onLost());
  }

  /** The streams that are on no connection but this one. */
  #onlyIn(attempt) {
    return attempt.sources.filter((source) => this.#has(source) && !this.#current?.sources.includes(source));
  }

  /** The gateway knows no joint responses: each stream needs a connection of its own. */
  #leaveAll() {
    this.#giveUp();
    const sources = [...this.#sources.values()];
    this.#sources.clear();
    this.#open(); // closes what is still open
    sources.forEach((source) => source.leaveConnection());
  }
}

/** One request for a set of streams. */
class Attempt {
  #controller = new AbortController();
  #url;
  #init;

  constructor(server, withCredentials, sources) {
    this.sources = sources;
    const url = (this.#url = new URL(`${server}/events`));
    for (const { id, position } of sources) url.searchParams.append("stream", position ? `${id}.${position}` : id);
    const tickets = sources.map((source) => source.ticket).filter(Boolean);
    const headers = { accept: "text/event-stream", ...(tickets.length > 0 && { "x-stream-ticket": tickets.join(", ") }) };
    const credentials = /** @type {RequestCredentials} */ (withCredentials ? "include" : "same-origin");
    this.#init = { headers, credentials, cache: /** @type {RequestCache} */ ("no-store") };
  }

  get isAborted() {
    return this.#controller.signal.aborted;
  }

  abort() {
    this.#controller.abort();
  }

  /** Calls `receive` for each event. Returns the status at the end of the response; 0 if the network failed. */
  async run(receive) {
    try {
      const answer = await fetch(this.#url, { ...this.#init, signal: this.#controller.signal });
      if (answer.status !== 200) return answer.status;
      // An old server may answer any path with its page.
      if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return 404;
      for await (const event of readEvents(answer.body)) if (!this.isAborted) receive(event);
      return 200;
    } catch {
      return 0;
    }
  }
}

/** The server-sent events of a gateway, which ends each line with a line feed and writes `data` in one line. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let event = { name: "", data: null, id: "", retryMs: null };
  let partial = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    partial += value;
    if (!value.includes("\n")) continue;
    const lines = partial.split("\n");
    partial = lines.pop();
    for (const line of lines) {
      const [, field, text] = line.match(/^(\w+): (.*)$/s) ?? [];
      if (field === "event") event.name = text;
      else if (field === "data") event.data = text;
      else if (field === "id") event.id = text;
      else if (field === "retry") event.retryMs = Number(text);
      else if (line === "" && event.data !== null) {
        yield event;
        event = { name: "", data: null, id: "", retryMs: null };
      }
    }
  }
  if (event.retryMs !== null) yield event; // the last word of a gateway that drains
}
