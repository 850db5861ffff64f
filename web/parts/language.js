/**
 * Chooses the language of the page: the first of the reader's languages that the page speaks. A script and not a module, so that
 * it runs before anything is shown. The text in the HTML is English; in another language, the page shows nothing until say.js
 * has filled in its words.
 */
{
  const SPOKEN = ["en", "de", "es"]; // README.md says how to add one
  const baseOf = (tag) => tag.toLowerCase().split("-")[0];
  const tag = navigator.languages.find((each) => SPOKEN.includes(baseOf(each))) ?? "en";
  const root = document.documentElement;
  root.lang = tag;
  root.toggleAttribute("data-unworded", baseOf(tag) !== "en");
  const own = /** @type {HTMLScriptElement} */ (document.currentScript);
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = new URL(`words/${baseOf(tag)}.js`, own.src).href;
  document.head.append(link);
}
