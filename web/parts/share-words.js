/**
 * What the dialog for sharing says. No I/O, no DOM.
 */

import { writeDate } from "./say.js";

/** "21:40", with the date if it is not today; from Unix seconds. */
export function describeTime(seconds, now = new Date()) {
  const isToday = new Date(seconds * 1000).toDateString() === now.toDateString();
  return writeDate(seconds, { ...(isToday ? {} : { month: "long", day: "numeric" }), hour: "numeric", minute: "2-digit" });
}
