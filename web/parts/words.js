/**
 * What the page says about the state and the end of a run. No I/O, no DOM.
 */

import { say, sayCode, writeNumber } from "./say.js";

const CUT = new Set(["length", "content_filter"]);

/** `state`: of the viewer (manycast.d.ts), or one that only the page has: `no_worker`, `stopping`. */
export const describeState = (state) => sayCode("state", state);

/** Describes a `done`; "" if the answer is complete. Of one that failed, failure-words.js says more. */
export function describeEnd({ status }) {
  if (status === "cancelled" || status === "failed") return sayCode("end", status);
  return describeState(status); // stored from a stream that was gone or refused
}

/** That a choice was cut off or is empty; "" if not. */
export function describeChoiceEnd({ content, refusal, tool_calls, finish_reason }) {
  if (CUT.has(finish_reason)) return sayCode("end", finish_reason);
  return finish_reason && !content && !refusal && !tool_calls?.length ? say("end.empty") : "";
}

/** Explains why Stop failed. */
export const describeObjection = ({ status, message }) => (status === 403 ? say("stop.not_allowed") : say("stop.failed", { message }));

/** "Try again in 20 s."; "" if the time is unknown. */
export function describeRetry(seconds) {
  if (!seconds) return "";
  if (seconds < 120) return say("retry.seconds", { count: Math.ceil(seconds) });
  return say("retry.minutes", { count: Math.ceil(seconds / 60) });
}

/** @param {string} reason  of the `restart` event */
export function describeRestart(reason) {
  return sayCode("answer", reason) || say("answer.worker_lost");
}

/** "3 watching"; "" for a single viewer. */
export const describeViewers = (count) => (count > 1 ? say("answer.viewers", { count }) : "");

/** "first words after 0.8 s · 4.2 s in all · 212 tokens" */
export function describeCost({ timing, usage }) {
  const seconds = (ms) => writeNumber(ms / 1000, 1);
  const parts = [];
  if (timing?.first_chunk_ms != null) parts.push(say("answer.first_words", { seconds: seconds(timing.first_chunk_ms) }));
  if (timing?.total_ms != null) parts.push(say("answer.total", { seconds: seconds(timing.total_ms) }));
  if (usage?.completion_tokens != null) parts.push(say("answer.tokens", { count: usage.completion_tokens }));
  return parts.join(" · ");
}
