/**
 * Sentences of the settings dialog. No I/O, no DOM.
 */

import { countOf } from "./words.js";

/** A temperature, or null for the model's own. */
export const describeTemperature = (degree) => (degree === null ? "the model's default" : degree.toFixed(1));

/** "3 conversations imported." */
export const describeImport = (count) => `${countOf(count, "conversation", "conversations")} imported.`;

/** The name of the signed-in caller; "" if there is none. */
export function describeCaller(caller) {
  if (!caller) return "";
  if (caller === "person") return "Signed in with the password";
  if (caller.startsWith("key:")) return `Signed in with the key “${caller.slice(4)}”`;
  return `Signed in as ${caller.replace(/^user:/, "")}`;
}
