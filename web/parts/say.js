/**
 * The sentences of the page in the reader's language. language.js has chosen it, as `<html lang>`; the sentences stand in words/,
 * and only those of that language are loaded.
 */

/** @typedef {typeof import("./words/en.js").default & typeof import("./words/en-more.js").default} English */
/** @typedef {keyof English} Key */

/** @type {Record<string, string | Record<string, string>>} */
const sentences = {};
let tag = globalThis.document?.documentElement.lang || "en";

const load = async (ending) => {
  const [base] = tag.toLowerCase().split("-");
  const module = await import(`./words/${base}${ending}.js`).catch((error) => {
    if (base === "en") throw error;
    tag = document.documentElement.lang = "en"; // rather another language than none
    return import(`./words/en${ending}.js`);
  });
  Object.assign(sentences, module.default);
};

/** Loads what the pages say at once. Call it before all other functions of this module. */
export const loadWords = () => load("");

let more = null;

/** Loads what only some readers see. */
export const loadMoreWords = () => (more ??= load("-more"));

/**
 * Fills in the static text. An element names its words in `data-say`: `key` for its text, `key:attribute` for an attribute.
 * The page itself is in English.
 */
export function fillPage() {
  const root = document.documentElement;
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-say]"))) {
    for (const place of element.dataset.say.split(" ")) {
      const [key, attribute] = place.split(":");
      const words = sentences[key];
      if (typeof words !== "string") continue; // in English, they stand in the page
      if (attribute) element.setAttribute(attribute, words);
      else element.textContent = words;
    }
  }
  root.removeAttribute("data-unworded");
}

/**
 * The sentence of that key. `{name}` in it stands for a value: a text, or a number, which is written as the language does it.
 * Where the words depend on a number, `count` is that number.
 *
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export const say = (key, values = {}) => choose(key, values).replace(/\{(\w+)\}/g, (_, name) => write(values[name]));

/**
 * The same with elements in place of values, as a list of texts and elements.
 *
 * @param {Key} key
 * @param {Record<string, Node>} nodes
 */
export const sayAround = (key, nodes) => choose(key, {}).split(/\{(\w+)\}/).map((part, index) => (index % 2 ? nodes[part] : part));

/** The words for a code of a protocol, from the keys that begin with `table`; "" if there are none. */
export const sayCode = (table, code) => /** @type {string} */ (sentences[`${table}.${code}`] ?? "");

/** A number as the language writes it, with this many digits after the point. */
export const writeNumber = (number, digits = 0) =>
  number.toLocaleString(tag, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A date as the language writes it, from Unix seconds. @param {Intl.DateTimeFormatOptions} options */
export const writeDate = (seconds, options) => new Date(seconds * 1000).toLocaleString(tag, options);

function choose(key, values) {
  const words = sentences[key];
  if (typeof words === "string") return words;
  return words[new Intl.PluralRules(tag).select(Number(values.count))] ?? words.other;
}

const write = (value) => (typeof value === "number" ? value.toLocaleString(tag) : value);
