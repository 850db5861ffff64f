/**
 * Sentences of the viewer's page. No I/O, no DOM.
 */

export const WATCH = {
  heading: "Watching an answer",
  question: "Question",
  incomplete: "This link is incomplete: it should end in #ID.",
  title: (text) => `${text} · Manycast`,
};

/** "November 26, 2026 at 11:40", from Unix seconds. */
export const describeDate = (seconds) =>
  seconds ? new Date(seconds * 1000).toLocaleString([], { dateStyle: "long", timeStyle: "short" }) : "";
