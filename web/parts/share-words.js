/**
 * Sentences of the dialog for sharing. No I/O, no DOM.
 */

/** "until 21:40", with the date if it is not today; from Unix seconds. */
export function describeUntil(seconds, now = new Date()) {
  const then = new Date(seconds * 1000);
  /** @type {Intl.DateTimeFormatOptions} */
  const day = then.toDateString() === now.toDateString() ? {} : { month: "long", day: "numeric" };
  return `until ${then.toLocaleString([], { ...day, hour: "numeric", minute: "2-digit" })}`;
}
