/**
 * All sentences of the page about the state or end of a run. No I/O, no DOM.
 */

/** Short texts of the page, by where they stand. */
export const WORDS = {
  unreachable: "The server cannot be reached.",
  noDatabase: "The server cannot reach its database. You can ask again when it is back.",
  noWorker: "No worker is running. Questions wait until one starts.",
  simulated: "A simulator answers here: no real model is connected.",
  plain: "The parts that show formatted text are not installed, so answers are plain text.",
  choice: (number, count) => `Answer ${number} of ${count}`,
  thinking: "Thinking…",
  thoughts: "Thoughts",
  calls: "Tool call:",
  result: "Result",
  details: "Details",
  untitled: "Untitled",
  rename: "New name of this conversation:",
  declined: "The model declined to answer:",
  empty: "The model's answer is empty.",
};

const STATES = {
  sending: "Sending…",
  connecting: "Connecting…",
  queued: "Waiting for a worker…",
  no_worker: "No worker is running. The question is kept, and answered as soon as one starts.",
  waiting: "Waiting for the first words…",
  streaming: "Writing",
  parked: "Waiting for an answer from you, or from somebody else who watches.",
  stopping: "Stopping…",
  worker_silent: "Reconnecting the answer…",
  broker_unavailable: "The server cannot reach its database. The answer continues when it is back.",
  full: "Too many viewers right now. Retrying…",
  reconnecting: "Connection lost. Reconnecting…",
  offline: "You are offline. The answer continues, and you will see all of it when you are back online.",
  gone: "This answer does not exist, or it has expired.",
  refused: "You can't see this answer.",
};

const CUT = {
  length: "The answer was cut off at the length limit.",
  content_filter: "The provider's content filter cut off the answer.",
};

const OWN_CODES = {
  upstream_truncated: "The provider stopped in the middle of the answer.",
  upstream_disconnected: "The connection to the provider broke.",
  upstream_timeout: "The provider sent nothing for too long.",
  upstream_invalid: "The provider sent something that is not an answer.",
  provider_unavailable: "The provider is not available right now.",
  rate_limit_exceeded: "Rate limit reached.",
  worker_lost: "The answer was interrupted too often, and was given up.",
  stream_deleted: "This answer was deleted.",
  stream_lost: "The server's database lost this answer.",
  answer_too_large: "The answer grew too large and was ended.",
  run_too_long: "The answer took too long and was ended.",
};

/** Why the gateway refused a question. */
const REFUSALS = {
  missing_api_key: "Sign in to have this answered.",
  invalid_api_key: "Sign in to have this answered.",
  not_this_machine: "You can't ask questions from this device.",
  cross_site: "You can't ask questions from this page.",
  model_not_allowed: "You can't use this model.",
  rate_limit_exceeded: "Rate limit reached.",
  too_many_runs: "Too many of your answers are being written at once.",
  storage_limit_exceeded: "Your latest answers take all the space that you may use.",
  storage_full: "The server has no room for more answers right now.",
  queue_full: "Too many questions are waiting right now.",
  unreachable: "The question could not be sent.",
};

/** Why the gateway refused a viewer. */
const NO_ENTRY = {
  ticket_missing: "This answer is private. Ask the person who shared it for a private link.",
  ticket_expired: "This link has expired. Ask the person who shared it for a new one.",
  ticket_revoked: "This link was revoked by the person who shared it.",
  ticket_invalid: "This link is incomplete or invalid.",
};

/** `state`: of the viewer (manycast.d.ts), or one that only the page has: `no_worker`, `stopping`. */
export const describeState = (state) => STATES[state] ?? "";

/** Describes a `done`; "" if the answer is complete. */
export function describeEnd({ status, error }) {
  if (STATES[status]) return STATES[status]; // stored from a stream that was gone or refused
  if (status === "cancelled") return "Stopped.";
  if (error?.refused) return REFUSALS[error.code] ?? "The question was not accepted.";
  if (status === "failed") return OWN_CODES[error?.code] ?? describeStatus(error?.http_status);
  return "";
}

/** That a choice was cut off or is empty; "" if not. */
export function describeChoiceEnd({ content, refusal, tool_calls, finish_reason }) {
  if (CUT[finish_reason]) return CUT[finish_reason];
  return finish_reason && !content && !refusal && !tool_calls?.length ? WORDS.empty : "";
}

/** How long the model has sent nothing. */
export const describeQuiet = (seconds) => `The model has been quiet for ${seconds} s.`;

function describeStatus(status) {
  if (!status) return "The answer failed.";
  if (status === 429) return "Rate limit reached.";
  return status < 500 ? "The provider refused the request." : "The provider failed.";
}

/** The message of the gateway about a refusal; or "". */
export const quoteRefusal = (error) =>
  error?.refused ? [error.message, describeRetry(error.retry_after_s)].filter(Boolean).join(" ") : "";

/** The status and the code of a failure, for a report. */
export const describeCode = (error) => (error?.refused ? "" : [error?.http_status, error?.code].filter(Boolean).join(", "));

/** What the provider said about a failure; "" for viewers who may not read it. */
export const quoteError = (error) => (error?.refused || error?.redacted ? "" : (error?.message ?? ""));

/** Explains why a stream is not shown. */
export const describeNoEntry = ({ code, message }) => NO_ENTRY[code] ?? `${STATES.refused} ${message}`;

/** Explains why Stop failed. */
export function describeObjection({ status, message }) {
  return status === 403 ? "You can't stop this answer. It continues." : `The answer could not be stopped: ${message}`;
}

/** "Try again in 20 s."; "" if the time is unknown. */
export function describeRetry(seconds) {
  if (!seconds) return "";
  return `Try again in ${seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`}.`;
}

/** @param {string} reason  of the `restart` event */
export const describeRestart = (reason) =>
  reason === "step_restarted"
    ? "The answer was interrupted (the worker was lost), so a part of it started again."
    : `The answer was interrupted (the worker was ${reason === "worker_stopped" ? "stopped" : "lost"}), so it started again.`;

export const describeGap = () => "The server's database lost part of the answer, so it is shown again from its start.";

/** "3 watching"; "" for a single viewer. */
export const describeViewers = (count) => (count > 1 ? `${count} watching` : "");

export const describeAmount = (number) => number.toLocaleString("en");

export const countOf = (number, one, many) => `${describeAmount(number)} ${number === 1 ? one : many}`;

/** "first words after 0.8 s · 4.2 s · 212 tokens" */
export function describeCost({ timing, usage }) {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const parts = [];
  if (timing?.first_chunk_ms != null) parts.push(`first words after ${seconds(timing.first_chunk_ms)}`);
  if (timing?.total_ms != null) parts.push(`${seconds(timing.total_ms)} in all`);
  if (usage?.completion_tokens != null) parts.push(countOf(usage.completion_tokens, "token", "tokens"));
  return parts.join(" · ");
}
