/**
 * What the chat page shows at the address of a conversation that this browser does not have. Loaded only then.
 */

import { watchUrl } from "./api.js";
import { find, make } from "./element.js";
import { say } from "./say.js";

/**
 * Show an explanation in place of the welcome, with a link to the conversation's last answer if its address names one. Without
 * effect if the reader has left that address meanwhile.
 *
 * @param {string} address  of the conversation
 * @param {string|undefined} stream  the id of its last answer
 */
export function explainElsewhere(address, stream) {
  if (location.href !== address || find("#elsewhere")) return;
  const watch = stream && make("a", { href: watchUrl(stream) }, say("elsewhere.watch"));
  const words = [say("elsewhere.why"), say(stream ? "elsewhere.link" : "elsewhere.advice")];
  find("#welcome").after(
    make(
      "section",
      { id: "elsewhere", "aria-labelledby": "elsewhere-title" },
      make("h1", { id: "elsewhere-title" }, say("elsewhere.title")),
      make("p", {}, words.join(" ")),
      make("p", {}, watch || null, make("a", { href: "./" }, say("elsewhere.new"))),
    ),
  );
}
