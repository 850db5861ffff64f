/**
 * All sentences of the page about the state or end of a run. No I/O, no DOM.
 */

const STATES = {
  sending: "Sending…",
  connecting: "Connecting…",
  queued: "Waiting for a worker…",
  no_worker: "No worker is running. The question is kept, and answered as soon as one starts.",
  waiting: "Waiting for the first words…",
  streaming: "Writing",
  parked: "Waiting for an answer from you, or from somebody else who watches.",
  stopping: "Stopping…",
  broker_unavailable: "The server has lost its broker for now. The answer goes on when it is back.",
  full: "Too many watch just now; trying again.",
  reconnecting: "The line broke. Reconnecting; nothing is lost.",
  offline: "You are offline. The answer goes on without you, and will be here when you are back.",
  gone: "There is no such answer, or it has expired.",
  refused: "The server does not show this answer.",
};

const CUT = {
  length: "The answer reached the length limit.",
  content_filter: "The provider's content filter ended the answer.",
};

const OWN_CODES = {
  upstream_truncated: "The provider stopped in the middle of the answer.",
  upstream_disconnected: "The connection to the provider broke.",
  upstream_timeout: "The provider sent nothing for too long.",
  upstream_invalid: "The provider sent something that is no answer.",
  worker_lost: "The worker was lost, and no attempt is left.",
  stream_lost: "The broker lost this answer.",
  answer_too_large: "The answer grew too large, and was ended.",
  run_too_long: "The answer took too long, and was ended.",
};

/** Why the gateway refused a question. */
const REFUSALS = {
  missing_api_key: "Sign in to have this answered.",
  invalid_api_key: "Sign in to have this answered.",
  not_this_machine: "This server takes no questions from here.",
  cross_site: "This server takes no questions from this page.",
  model_not_allowed: "You may not ask this model.",
  rate_limit_exceeded: "That was one question too many for now.",
  too_many_runs: "Too many answers are being written for you at once.",
  unreachable: "The question did not get through.",
};

/** Why the gateway refused a viewer. */
const NO_ENTRY = {
  ticket_missing: "This answer is private. Ask whoever shared it for a link that lets you in.",
  ticket_expired: "This link has run out. Ask whoever shared it for a new one.",
  ticket_revoked: "This link was taken back by whoever shared it.",
  ticket_invalid: "This link is not right: it may have been cut when it was copied.",
};

/** `state`: of the viewer (manycast.d.ts), or one that only the page has: `no_worker`, `stopping`. */
export const describeState = (state) => STATES[state] ?? "";

/** Describes a `done`; "" if the answer is complete. */
export function describeEnd({ status, finish_reason, error }) {
  if (STATES[status]) return STATES[status]; // stored from a stream that was gone or refused
  if (status === "cancelled") return "Stopped.";
  if (error?.refused) return REFUSALS[error.code] ?? "The question was not taken.";
  if (status === "failed") return OWN_CODES[error?.code] ?? (error?.http_status ? "The provider refused." : "The answer failed.");
  return CUT[finish_reason] ?? "";
}

/** The message of the provider about a failure, or of the gateway about a refusal; or "". */
export function quoteError(error) {
  if (!error) return "";
  if (error.refused) return [error.message, describeRetry(error.retry_after_s)].filter(Boolean).join(" ");
  const source = [error.http_status, error.code].filter(Boolean).join(", ");
  return [error.message, source && `(${source})`].filter(Boolean).join(" ");
}

/** Explains why a stream is not shown. */
export const describeNoEntry = ({ code, message }) => NO_ENTRY[code] ?? `${STATES.refused} ${message}`;

/** "until 21:40", with the date if it is not today; from Unix seconds. */
export function describeUntil(seconds, now = new Date()) {
  const then = new Date(seconds * 1000);
  /** @type {Intl.DateTimeFormatOptions} */
  const day = then.toDateString() === now.toDateString() ? {} : { month: "long", day: "numeric" };
  return `until ${then.toLocaleString([], { ...day, hour: "numeric", minute: "2-digit" })}`;
}

/** Explains why Stop failed. */
export function describeObjection({ status, message }) {
  return status === 403 ? "You may not stop this answer; it goes on." : `It could not be stopped: ${message}`;
}

/** "Try again in 20 s."; "" if the time is unknown. */
export function describeRetry(seconds) {
  if (!seconds) return "";
  return `Try again in ${seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`}.`;
}

/** The name of the signed-in caller; "" if there is none. */
export function describeCaller(caller) {
  if (!caller) return "";
  if (caller === "person") return "Signed in with the password";
  if (caller.startsWith("key:")) return `Signed in with the key “${caller.slice(4)}”`;
  return `Signed in as ${caller.replace(/^user:/, "")}`;
}

/** @param {string} reason  of the `restart` event */
export const describeRestart = (reason) =>
  reason === "step_restarted" ? "The worker was lost on the way, so a part of the answer began again." :
  `The worker was ${reason === "worker_stopped" ? "stopped" : "lost"} on the way, so the answer began again.`;

export const describeGap = () => "The broker lost part of the answer, so it is shown again from its start.";

/** "3 watching"; "" for a single viewer. */
export const describeViewers = (count) => (count > 1 ? `${count} watching` : "");

/** "0.8 s", "12 ms", or a dash if there is none. */
export function describeMilliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export const describeAmount = (number) => number.toLocaleString("en");

/** A time of the day, from Unix seconds. */
export const describeClock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/** "4 s ago", from Unix seconds. */
export function describeAge(seconds, now = Date.now()) {
  const age = Math.max(0, Math.round(now / 1000 - seconds));
  if (age < 60) return `${age} s ago`;
  return age < 3600 ? `${Math.floor(age / 60)} min ago` : `${Math.floor(age / 3600)} h ago`;
}

/** "first words after 0.8 s · 4.2 s · 212 tokens" */
export function describeCost({ timing, usage }) {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const parts = [];
  if (timing?.first_chunk_ms != null) parts.push(`first words after ${seconds(timing.first_chunk_ms)}`);
  if (timing?.total_ms != null) parts.push(`${seconds(timing.total_ms)} in all`);
  if (usage?.completion_tokens != null) parts.push(`${usage.completion_tokens} tokens`);
  return parts.join(" · ");
}
