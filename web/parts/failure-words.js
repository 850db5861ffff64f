/**
 * What the page says about failures and refusals. No I/O, no DOM.
 */

import { say, sayCode } from "./say.js";
import { describeRetry } from "./words.js";

/** What happened. @param {object | null} error  of a failed `done` */
export function describeFailure(error) {
  if (error?.refused) return sayCode("refusal", error.code) || say("refusal.unknown");
  return sayCode("failure", error?.code) || describeStatus(error?.http_status);
}

function describeStatus(status) {
  if (!status) return say("end.failed");
  if (status === 429) return say("failure.rate_limit_exceeded");
  return say(status < 500 ? "failure.provider_refused" : "failure.provider_failed");
}

/** The message of the gateway about a refusal; or "". */
export const quoteRefusal = (error) =>
  error?.refused ? [error.message, describeRetry(error.retry_after_s)].filter(Boolean).join(" ") : "";

/** The status and the code of a failure, for a report. */
export const describeCode = (error) => (error?.refused ? "" : [error?.http_status, error?.code].filter(Boolean).join(", "));

/** What the provider said about a failure; "" for viewers who may not read it. */
export const quoteError = (error) => (error?.refused || error?.redacted ? "" : (error?.message ?? ""));

/** Explains why a stream is not shown. */
export const describeNoEntry = ({ code, message }) => sayCode("entry", code) || `${say("state.refused")} ${message}`;
