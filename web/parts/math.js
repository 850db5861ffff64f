/**
 * Shows formulas as MathML. Loads temml, which this is the only module to import, with the first formula. Until then, without
 * the package, and where temml does not understand a formula, it stays text. Temml makes elements, and no HTML.
 */

import { loadStyle } from "./style.js";

const LONGEST = 5000; // characters
const DEEPEST = 60; // nested elements: thousands would crash a browser's tab
const OPTIONS = { throwOnError: true, maxExpand: 200, maxSize: [20, 200], trust: false };

let loading = null;

/** temml's file is a script and not a module. Resolves to undefined if it is not installed. */
function load() {
  loading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = new URL("./vendor/temml.js", import.meta.url).href;
    script.onload = script.onerror = () => resolve(globalThis["temml"]);
    document.head.append(script);
  });
  return loading;
}

/** Replace the text of `element` by the formula, when it is known how. */
export function showFormula(element, formula, display) {
  loadStyle("math.css");
  if (formula.length > LONGEST) return;
  if (globalThis["temml"]) typeset(element, formula, display);
  else load().then((temml) => temml && typeset(element, formula, display));
}

function typeset(element, formula, display) {
  const made = document.createElement("span");
  try {
    globalThis["temml"].render(formula, made, { ...OPTIONS, displayMode: display });
  } catch {
    return; // not TeX as temml knows it, or nested too deep for it
  }
  if (isShallow(made)) element.replaceChildren(...made.childNodes);
}

function isShallow(root) {
  let level = [root];
  for (let depth = 0; depth < DEEPEST && level.length > 0; depth += 1) level = level.flatMap((node) => [...node.children]);
  return level.length === 0;
}
