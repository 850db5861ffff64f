/**
 * What the page runs on: which models are offered, whether a simulator answers, whether anyone works. Said once, on top.
 */

import { readModels, readReadiness } from "./api.js";
import { find } from "./element.js";

const SIMULATOR = "manycast-simulator";

/** Fills `#notice`, and `#model` where the page has one. Answers whether any model is offered. */
export async function describeSurroundings() {
  const [models, readiness] = await Promise.all([readModels().catch(() => []), readReadiness()]);
  const select = find("#model");
  if (select) fillModels(select, models);
  const notice = find("#notice");
  notice.textContent = describeTrouble(readiness) || (simulated(models) ? "A simulator answers here: no real model is connected." : "");
  notice.hidden = notice.textContent === "";
  return models.length > 0;
}

const simulated = (models) => models.some((model) => model.owned_by === SIMULATOR);

function describeTrouble(readiness) {
  if (readiness === null) return "The server cannot be reached.";
  if (readiness.redis === false) return "The server has lost its broker. Questions cannot be taken just now.";
  if (readiness.workers === 0) return "No worker is running. Questions wait until one starts.";
  return "";
}

function fillModels(select, models) {
  const chosen = select.value;
  select.replaceChildren(...models.map((model) => new Option(model.id, model.id)));
  if (models.some((model) => model.id === chosen)) select.value = chosen;
  select.hidden = models.length === 0;
}
