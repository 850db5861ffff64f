/**
 * What a failed answer shows: what happened, the words of the gateway or the provider, and a button to try again. Loaded with the
 * first failure, like its words.
 */

import { announce, make } from "./element.js";
import { describeCode, describeFailure, quoteError, quoteRefusal } from "./failure-words.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { loadStyle } from "./style.js";

/**
 * @param {object} error  of `done`; `refused`: the gateway did not take the question
 * @param {(() => void) | undefined} retry
 */
export async function makeFault(error, retry) {
  await loadStyle("tools.css");
  const what = describeFailure(error);
  const told = make("div", {}, make("strong", {}, what));
  const [refusal, said, code] = [quoteRefusal(error), quoteError(error), describeCode(error)];
  if (refusal) told.append(make("p", { class: "words" }, refusal));
  // The provider's own words are for a report.
  if (said) told.append(make("details", { class: "words" }, make("summary", {}, say("failure.details")), make("p", {}, [said, code && `(${code})`].filter(Boolean).join(" "))));
  else if (code) told.append(make("p", { class: "words" }, `(${code})`));
  const button = retry && make("button", { type: "button", onclick: retry }, icon("again"), say("failure.retry"));
  announce(what);
  return make("div", { class: error?.refused ? "fault mild" : "fault" }, told, button);
}
