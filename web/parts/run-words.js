/**
 * What the developers' page says. No I/O, no DOM.
 */

import { say, sayCode, writeDate, writeNumber } from "./say.js";

/** "0.8 s", "12 ms", or a dash if there is none. */
export function describeMilliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return say("run.milliseconds", { number: Math.round(ms) });
  return say("run.seconds", { number: writeNumber(ms / 1000, 1) });
}

/** A time of the day, from Unix seconds. */
export const describeClock = (seconds) => writeDate(seconds, { timeStyle: "medium" });

/** "4 s ago", from Unix seconds. */
export function describeAge(seconds, now = Date.now()) {
  const age = Math.max(0, Math.round(now / 1000 - seconds));
  if (age < 60) return say("run.seconds_ago", { number: age });
  return age < 3600 ? say("run.minutes_ago", { number: Math.floor(age / 60) }) : say("run.hours_ago", { number: Math.floor(age / 3600) });
}

/** "50 runs, 2 running" */
export const describeRuns = (count, running) => say("run.summary", { runs: say("run.count", { count }), running });

/** The status of a run. */
export const describeStatus = (status) => sayCode("status", status) || status;
