/**
 * The settings dialog: system prompt, temperature, visibility and theme. Stored in this browser, for the next question.
 */

import { find } from "./element.js";
import { WORDS } from "./words.js";

const KEY = "manycast:settings";

export class Settings {
  /** @param {object} on  `opened()` */
  constructor(storage, on) {
    this.storage = storage;
    this.on = on;
    this.values = { model: "", system: "", temperature: null, visibility: "unlisted", theme: "", ...readKept(storage) };
    this.dialog = find("#settings");
    this.temperature = find("#temperature");
    this.#fill();
    find("#system").addEventListener("input", (event) => this.keep({ system: event.target.value }));
    this.temperature.addEventListener("input", () => this.keep({ temperature: Number(this.temperature.value) }));
    find("#temperature-default").addEventListener("click", () => this.keep({ temperature: null }));
    find("#visibility").addEventListener("change", (event) => this.keep({ visibility: event.target.value }));
    find("#theme").addEventListener("change", (event) => this.keep({ theme: event.target.value }));
    for (const mode of ["#private-mode", "#system-mode"]) find(mode).addEventListener("click", () => this.open());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  open() {
    this.on.opened();
    this.dialog.showModal();
  }

  keep(values) {
    Object.assign(this.values, values);
    this.#fill();
    try {
      this.storage?.setItem(KEY, JSON.stringify(this.values));
    } catch {
      // The storage is full: the settings last until the page closes.
    }
  }

  /** The fields of a request. A field that is not set is left to the provider. */
  get request() {
    const { model, temperature, visibility } = this.values;
    const manycast = visibility === "private" && { manycast: { visibility } };
    return { ...(model && { model }), ...(temperature !== null && { temperature }), ...manycast };
  }

  #fill() {
    const { system, temperature, visibility, theme } = this.values;
    if (find("#system").value !== system) find("#system").value = system;
    this.temperature.value = temperature ?? 1;
    this.temperature.classList.toggle("unset", temperature === null);
    find("#temperature-value").textContent = temperature === null ? WORDS.modelDefault : temperature.toFixed(1);
    find("#temperature-default").hidden = temperature === null;
    find("#visibility").value = visibility;
    if (visibility === "private") find("#privacy").hidden = false; // otherwise shown when the gateway is known to support it
    find("#private-mode").hidden = visibility !== "private";
    find("#system-mode").hidden = system.trim() === "";
    find("#modes").hidden = visibility !== "private" && system.trim() === "";
    find("#theme").value = theme;
    applyTheme(theme);
  }
}

/** Applies the theme that was chosen on the chat page, on pages without the dialog. */
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
