/**
 * The gateway's HTTP surface, as far as the page uses it (docs/protocol.md, section 5). Events come by manycast.js.
 */

/**
 * The gateway said no, or could not be reached (`status` 0). `message` is fit for people; `retryAfter` is seconds, or null
 * where it did not say when to ask again.
 */
export class Refusal extends Error {
  constructor(status, error, retryAfter = null) {
    super(error.message);
    this.status = status;
    this.code = error.code ?? null;
    this.retryAfter = retryAfter;
  }
}

const PATIENCE_MS = 20_000; // cancelling answers after two seconds, all else at once

async function call(method, url, body, headers = {}) {
  /** @type {RequestInit} */
  const options = { method, cache: "no-store", headers, signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body) Object.assign(options, { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  const answer = await fetch(url, options).catch(() => null);
  if (answer === null) throw new Refusal(0, { message: "The server cannot be reached.", code: "unreachable" });
  const data = await answer.json().catch(() => null);
  if (answer.status === 204 || (answer.ok && data !== null)) return data;
  const error = data?.error ?? { message: `The server answered with status ${answer.status}.` };
  throw new Refusal(answer.status, error, Number(answer.headers.get("retry-after")) || null);
}

/**
 * Who we are to the gateway: `{caller, may_start, sign_in, message}`; null where it does not say (an older one, or none).
 * What proves it is a cookie that no script can read.
 */
export async function readAdmission() {
  const admission = await call("GET", "v1/session").catch(() => null);
  return typeof admission?.may_start === "boolean" ? admission : null;
}

/** Answers as `readAdmission`. `secret`: the password, or an API key. */
export const signIn = (secret) => call("POST", "v1/session", { secret });

export const signOut = () => call("DELETE", "v1/session");

/**
 * Start a run. Takes an OpenAI chat-completions body; answers `{id, status, urls}`. `key` names this one question: where
 * the line broke before the answer came, it is asked once more and does not run twice.
 */
export async function startStream(body, key) {
  const once = () => call("POST", "v1/streams", body, { "idempotency-key": key });
  return once().catch((refusal) => (refusal.status === 0 ? once() : Promise.reject(refusal)));
}

/** Stop a run; answers when it has ended, or after a short wait. `url`: `urls.cancel` of its start, with its ticket. */
export const cancelStream = (url) => call("POST", url);

/**
 * A fresh ticket to watch a stream, to hand on: `{ticket, expires_at, urls}`, `expires_at` in Unix seconds. `ticket` is
 * ours, that controls the stream.
 */
export const mintTicket = (id, ticket) => call("POST", `${streamUrl(id)}/tickets`, { scope: "view" }, withTicket(ticket));

/** Make all tickets of a stream void. Answers the one that controls it from here on. */
export const revokeTickets = async (id, ticket) =>
  (await call("DELETE", `${streamUrl(id)}/tickets`, null, withTicket(ticket))).tickets.control;

/** Have a ticket kept as a cookie that no script can read, so that it need not stand in addresses. */
export const keepTicket = (id, ticket) => call("POST", `${streamUrl(id)}/cookie`, null, withTicket(ticket));

const withTicket = (ticket) => (ticket ? { authorization: `Bearer ${ticket}` } : {});

/** The latest runs, newest first: as GET of each stream, with `prompt` and `gateways` (their viewers by name). */
export const readLatestStreams = async (limit) => (await call("GET", `v1/streams?limit=${limit}`)).data;

/** What the live workers offer: `[{id, owned_by, …}]`. */
export const readModels = async () => (await call("GET", "v1/models")).data;

/** `{ready, redis, workers, draining}`, also where it is not ready; null where nobody answers. */
export async function readReadiness() {
  const answer = await fetch("readyz", { cache: "no-store" }).catch(() => null);
  return (await answer?.json().catch(() => null)) ?? null;
}

export const streamUrl = (id) => `v1/streams/${encodeURIComponent(id)}`;
export const eventsUrl = (id) => `${streamUrl(id)}/events`;
export const cancelUrl = (id, ticket) => `${streamUrl(id)}/cancel${ticket ? `?ticket=${encodeURIComponent(ticket)}` : ""}`;

/** The ticket that an address carries, or null. */
export const ticketOf = (url) => (url ? new URL(url, location.href).searchParams.get("ticket") : null);

/** Whether watching it takes a ticket: its id says so. */
export const isPrivate = (id) => id.startsWith("p_");

export const watchUrl = (id) => new URL(`watch#${encodeURIComponent(id)}`, location.href).href;
