/**
 * What the settings dialog says. No I/O, no DOM.
 */

import { say, writeNumber } from "./say.js";

/** A temperature, or null for the model's own. */
export const describeTemperature = (degree) => (degree === null ? say("settings.default") : writeNumber(degree, 1));

/** The name of the signed-in caller; "" if there is none. */
export function describeCaller(caller) {
  if (!caller) return "";
  if (caller === "person") return say("settings.person");
  if (caller.startsWith("key:")) return say("settings.key", { name: caller.slice(4) });
  return say("settings.user", { name: caller.replace(/^user:/, "") });
}
