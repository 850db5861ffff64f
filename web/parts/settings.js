/**
 * The settings: model, system prompt, temperature, visibility and theme. Stored in this browser, for the next question.
 */

import { find } from "./element.js";

const KEY = "manycast:settings";

export class Settings {
  constructor(storage) {
    this.storage = storage;
    this.values = { model: "", system: "", temperature: null, visibility: "unlisted", theme: "", ...readKept(storage) };
    this.admission = null; // what the gateway said about this browser
    this.dialog = null; // shows the settings, while it is open
    this.#show();
  }

  keep(values) {
    Object.assign(this.values, values);
    this.#show();
    try {
      this.storage?.setItem(KEY, JSON.stringify(this.values));
    } catch {
      // The storage is full: the settings last until the page closes.
    }
  }

  admit(admission) {
    this.admission = admission;
    this.#show();
  }

  /** The fields of a request. A field that is not set is left to the provider. */
  get request() {
    const { model, temperature, visibility } = this.values;
    const manycast = visibility === "private" && { manycast: { visibility } };
    return { ...(model && { model }), ...(temperature !== null && { temperature }), ...manycast };
  }

  #show() {
    const isPrivate = this.values.visibility === "private";
    const hasSystem = this.values.system.trim() !== "";
    find("#private-mode").hidden = !isPrivate;
    find("#system-mode").hidden = !hasSystem;
    find("#modes").hidden = !isPrivate && !hasSystem;
    applyTheme(this.values.theme);
    this.dialog?.fill();
  }
}

/** Applies the theme that was chosen on the chat page, on other pages. */
export const applyKeptTheme = (storage) => applyTheme(readKept(storage).theme ?? "");

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function readKept(storage) {
  try {
    return JSON.parse(storage?.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}
