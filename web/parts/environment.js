/**
 * Shows the available models, whether a simulator answers, and whether workers run. Checks often while there is a problem.
 */

import { readModels, readReadiness } from "./api.js";
import { find } from "./element.js";
import { say } from "./say.js";

const SIMULATOR = "manycast-simulator";
const CHECK_MS = { well: 30_000, trouble: 3000 };

/**
 * Fills `#hint` and `#trouble`, and updates them. Returns a function that checks again now.
 *
 * @param {object} options  `plain`: markdown is not installed; `models(ids)`: called when the models change
 */
export function describeEnvironment({ plain = false, models: onModels = () => {} } = {}) {
  let offered = "";
  let timer = 0;
  const check = async () => {
    const [models, readiness] = await Promise.all([readModels().catch(() => null), readReadiness()]);
    const ids = (models ?? []).map((model) => model.id);
    if (models && offered !== ids.join()) onModels(ids);
    offered = ids.join();
    const trouble = describeTrouble(readiness);
    show("#trouble", trouble);
    if (models) show("#hint", [simulated(models) && say("server.simulated"), plain && say("server.plain")].filter(Boolean).join(" "));
    clearTimeout(timer);
    timer = setTimeout(look, trouble || ids.length === 0 ? CHECK_MS.trouble : CHECK_MS.well);
  };
  const look = () => {
    if (document.visibilityState === "visible") return check();
    document.addEventListener("visibilitychange", look, { once: true });
  };
  check();
  return check;
}

const simulated = (models) => models.some((model) => model.owned_by === SIMULATOR);

function show(selector, text) {
  const element = find(selector);
  if (element.textContent === text) return; // a screen reader would read the same text again
  element.textContent = text;
  element.hidden = text === "";
}

function describeTrouble(readiness) {
  if (readiness === null) return say("server.unreachable");
  if (readiness.redis === false) return say("server.no_database");
  if (readiness.workers === 0) return say("server.no_worker");
  return "";
}
