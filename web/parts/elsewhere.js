/**
 * What the chat page shows at the address of a conversation that this browser does not have. Loaded only then.
 */

import { watchUrl } from "./api.js";
import { find, make } from "./element.js";

/**
 * Show an explanation in place of the welcome, with a link to the conversation's last answer if its address names one. Without
 * effect if the reader has left that address meanwhile.
 *
 * @param {string} address  of the conversation
 * @param {string|undefined} stream  the id of its last answer
 */
export function explainElsewhere(address, stream) {
  if (location.href !== address || find("#elsewhere")) return;
  const watch = stream && make("a", { href: watchUrl(stream) }, "Watch its last answer");
  const share = stream
    ? "Its last answer has a link, which works everywhere until the answer expires."
    : "To show an answer here, press Share below it in that browser, and open that link.";
  find("#welcome").after(
    make(
      "section",
      { id: "elsewhere", "aria-labelledby": "elsewhere-title" },
      make("h1", { id: "elsewhere-title" }, "This conversation is not in this browser"),
      make("p", {}, `A conversation is kept only in the browser in which it was held. ${share}`),
      make("p", {}, watch || null, make("a", { href: "./" }, "Start a new chat")),
    ),
  );
}
