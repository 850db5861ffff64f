/**
 * The HTTP requests that the page sends to the gateway (docs/protocol.md, section 5). manycast.js receives the events.
 */

import { say } from "./say.js";

/**
 * The gateway refused a request or could not be reached (`status` 0). People can read `message`. `retryAfter`: seconds, or
 * null if the response has no `Retry-After`.
 */
export class ApiError extends Error {
  constructor(status, error, retryAfter = null) {
    super(error.message);
    this.status = status;
    this.code = error.code ?? null;
    this.retryAfter = retryAfter;
  }
}

const TIMEOUT_MS = 20_000; // a cancel request takes two seconds, others much less

export async function call(method, url, body, headers = {}) {
  /** @type {RequestInit} */
  const options = { method, cache: "no-store", headers, signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body) Object.assign(options, { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  const answer = await fetch(url, options).catch(() => null);
  if (answer === null) throw new ApiError(0, { message: say("server.unreachable"), code: "unreachable" });
  const data = await answer.json().catch(() => null);
  if (answer.status === 204 || (answer.ok && data !== null)) return data;
  const error = data?.error ?? { message: say("server.status", { status: String(answer.status) }) };
  throw new ApiError(answer.status, error, Number(answer.headers.get("retry-after")) || null);
}

/**
 * Reads what the gateway knows about this browser: `{caller, may_start, sign_in, message}`; null if the gateway is too old
 * or not reachable. A cookie that scripts cannot read identifies the browser.
 */
export async function readAdmission() {
  const admission = await call("GET", "v1/session").catch(() => null);
  return typeof admission?.may_start === "boolean" ? admission : null;
}

/** Returns the same as `readAdmission`. `secret`: the password, or an API key. */
export const signIn = (secret) => call("POST", "v1/session", { secret });

export const signOut = () => call("DELETE", "v1/session");

/**
 * Start a run from an OpenAI chat-completions body. Returns `{id, status, urls}`. If the connection breaks before the
 * response, it sends the request once more; the idempotency key `key` prevents a second run.
 */
export async function startStream(body, key) {
  const once = () => call("POST", "v1/streams", body, { "idempotency-key": key });
  return once().catch((error) => (error.status === 0 ? once() : Promise.reject(error)));
}

/** Stop a run. Returns when it has ended, or after a short wait. `url`: `urls.cancel` of `startStream`, with its ticket. */
export const cancelStream = (url) => call("POST", url);

/** Answer a question of a script. The first answer counts. `ticket`: one that controls the stream, if we have it. */
export const answerInput = (id, question, value, ticket) => call("POST", `${streamUrl(id)}/input`, { id: question, value }, withTicket(ticket));

/** Store a ticket in a cookie that scripts cannot read, so that no URL needs to contain it. */
export const keepTicket = (id, ticket) => call("POST", `${streamUrl(id)}/cookie`, null, withTicket(ticket));

export const withTicket = (ticket) => (ticket ? { authorization: `Bearer ${ticket}` } : {});

/** The latest runs, newest first: each as GET returns it, with `prompt` and `gateways` (number of viewers by gateway). */
export const readLatestStreams = async (limit) => (await call("GET", `v1/streams?limit=${limit}`)).data;

/** The models of all live workers: `[{id, owned_by, …}]`. */
export const readModels = async () => (await call("GET", "v1/models")).data;

/** `{ready, redis, workers, draining}`, also if the gateway is not ready; null if it does not respond. */
export async function readReadiness() {
  const answer = await fetch("readyz", { cache: "no-store" }).catch(() => null);
  return (await answer?.json().catch(() => null)) ?? null;
}

export const streamUrl = (id) => `v1/streams/${encodeURIComponent(id)}`;
export const eventsUrl = (id) => `${streamUrl(id)}/events`;
export const cancelUrl = (id, ticket) => `${streamUrl(id)}/cancel${ticket ? `?ticket=${encodeURIComponent(ticket)}` : ""}`;

/** The ticket in a URL, or null. */
export const ticketOf = (url) => (url ? new URL(url, location.href).searchParams.get("ticket") : null);

/** Whether a viewer needs a ticket. The id shows it. */
export const isPrivate = (id) => id.startsWith("p_");

export const watchUrl = (id) => new URL(`watch#${encodeURIComponent(id)}`, location.href).href;
