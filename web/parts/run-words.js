/**
 * Sentences of the developers' page. No I/O, no DOM.
 */

import { countOf, describeAmount } from "./words.js";

/** "0.8 s", "12 ms", or a dash if there is none. */
export function describeMilliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A time of the day, from Unix seconds. */
export const describeClock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/** "4 s ago", from Unix seconds. */
export function describeAge(seconds, now = Date.now()) {
  const age = Math.max(0, Math.round(now / 1000 - seconds));
  if (age < 60) return `${age} s ago`;
  return age < 3600 ? `${Math.floor(age / 60)} min ago` : `${Math.floor(age / 3600)} h ago`;
}

/** "50 runs, 2 of them running", for developers. */
export const describeRuns = (count, running) => `${countOf(count, "run", "runs")}, ${describeAmount(running)} running`;
