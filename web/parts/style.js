/**
 * Loads a style sheet that a first answer does not need.
 */

import { make } from "./element.js";

const loading = new Map();

/** Resolves when the sheet applies, or has failed to load: what it is for must still be usable. */
export function loadStyle(name) {
  if (!loading.has(name)) {
    const load = new Promise((resolve) => {
      const failed = () => {
        loading.delete(name); // the next use tries again
        resolve();
      };
      document.head.append(make("link", { rel: "stylesheet", href: name, onload: resolve, onerror: failed }));
    });
    loading.set(name, load);
  }
  return loading.get(name);
}
