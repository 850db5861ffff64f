/**
 * The dialog for the settings, the account, and the export of conversations. Loaded when it is used.
 */

import { signOut } from "./api.js";
import { exportAll, importFile } from "./archive.js";
import { make } from "./element.js";
import { icon } from "./icons.js";
import { forgetPrivate } from "./removal.js";
import { say, sayAround } from "./say.js";
import { describeCaller, describeTemperature } from "./settings-words.js";
import { loadStyle } from "./style.js";

/**
 * Open the dialog, if it is not open.
 *
 * @param {import("./settings.js").Settings} settings
 * @param {import("./conversations.js").Conversations} conversations  to export, and to import into
 * @param {object} on  `removed(ids)` and `imported()`: the conversations have changed; `left()`: the caller has signed out
 */
export async function openSettings(settings, conversations, on) {
  await loadStyle("dialog.css");
  if (!settings.dialog) new SettingsDialog(settings, conversations, on).open();
}

class SettingsDialog {
  constructor(settings, conversations, on) {
    this.settings = settings;
    this.conversations = conversations;
    this.on = on;
    this.#makeFields();
    this.element = make(
      "dialog",
      { id: "settings", class: "drawer", "aria-labelledby": "settings-title" },
      make(
        "form",
        { method: "dialog" },
        make("header", {}, make("h2", { id: "settings-title" }, say("settings.title")), make("button", { class: "quiet", "aria-label": say("dialog.close") }, icon("close"))),
        make("label", { for: "system" }, say("settings.system")),
        this.system,
        make("div", { class: "row" }, make("label", { for: "temperature" }, say("settings.temperature")), this.degree),
        this.temperature,
        this.unset,
        this.privacy,
        make("label", { for: "theme" }, say("settings.theme")),
        this.theme,
        this.account,
        make("p", { class: "small keyboard" }, say("settings.keyboard")),
        ...this.#makeArchive(),
        make("p", { class: "small" }, ...sayAround("settings.runs", { link: make("a", { href: "runs" }, say("settings.runs_link")) })),
      ),
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
    this.element.addEventListener("close", () => {
      this.settings.dialog = null;
      this.element.remove();
    });
  }

  open() {
    this.settings.dialog = this;
    this.fill();
    document.body.append(this.element);
    this.element.showModal();
  }

  /** Show the present values, and what the gateway says about this browser. */
  fill() {
    const { values, admission } = this.settings;
    if (this.system.value !== values.system) this.system.value = values.system;
    this.temperature.value = String(values.temperature ?? 1);
    this.temperature.classList.toggle("unset", values.temperature === null);
    this.degree.textContent = describeTemperature(values.temperature);
    this.unset.hidden = values.temperature === null;
    this.visibility.value = values.visibility;
    // A gateway that reports callers supports private streams.
    this.privacy.hidden = !admission && values.visibility !== "private";
    this.theme.value = values.theme;
    const caller = admission?.caller ?? null;
    this.caller.textContent = describeCaller(caller);
    this.account.hidden = caller === null;
    this.leave.hidden = caller?.startsWith("user:") ?? true; // a proxy names the user, and would name them again
  }

  #makeFields() {
    const { settings } = this;
    const button = (fields, words) => make("button", { type: "button", ...fields }, words);
    this.system = make("textarea", {
      id: "system", rows: "7", placeholder: say("settings.system_hint"),
      oninput: () => settings.keep({ system: this.system.value }),
    });
    this.degree = make("output", { for: "temperature" });
    this.temperature = make("input", {
      id: "temperature", type: "range", min: "0", max: "2", step: "0.1",
      oninput: () => settings.keep({ temperature: Number(this.temperature.value) }),
    });
    this.unset = button({ class: "text-button", onclick: () => settings.keep({ temperature: null }) }, say("settings.use_default"));
    this.visibility = make(
      "select",
      { id: "visibility", "aria-describedby": "visibility-note", onchange: () => settings.keep({ visibility: this.visibility.value }) },
      new Option(say("settings.unlisted"), "unlisted"),
      new Option(say("settings.private"), "private"),
    );
    this.privacy = make(
      "div",
      { id: "privacy" },
      make("label", { for: "visibility" }, say("settings.visibility")),
      this.visibility,
      make("p", { id: "visibility-note", class: "small" }, say("settings.visibility_note")),
    );
    this.theme = make(
      "select",
      { id: "theme", onchange: () => settings.keep({ theme: this.theme.value }) },
      new Option(say("settings.theme_system"), ""),
      new Option(say("settings.theme_light"), "light"),
      new Option(say("settings.theme_dark"), "dark"),
    );
    this.caller = make("p", { id: "caller", role: "status" });
    this.leave = button({ id: "sign-out", onclick: () => forgetPrivate(this.conversations, () => this.#signOut(), this.on.removed) }, say("settings.sign_out"));
    this.account = make("div", { id: "account", class: "row" }, this.caller, this.leave);
  }

  #makeArchive() {
    const button = (words, onclick) => make("button", { type: "button", onclick }, words);
    const told = make("p", { id: "imported", class: "small", role: "status" });
    const file = make("input", { id: "import-file", type: "file", accept: ".json,application/json", "aria-label": say("archive.file"), hidden: true });
    file.addEventListener("change", async () => {
      if (!file.files[0]) return;
      told.textContent = await importFile(this.conversations, file.files[0]).then((count) => say("archive.imported", { count }), (error) => error.message);
      file.value = ""; // the same file may be chosen again
      this.on.imported();
    });
    const buttons = make(
      "div",
      { class: "archive" },
      button(say("archive.markdown"), () => exportAll(this.conversations, "md")),
      button(say("archive.json"), () => exportAll(this.conversations, "json")),
      button(say("archive.import"), () => file.click()),
      file,
    );
    return [make("h3", {}, say("archive.title")), buttons, told];
  }

  /** Returns whether it succeeded. */
  async #signOut() {
    try {
      await signOut();
    } catch (error) {
      this.caller.textContent = error.message;
      return false;
    }
    this.element.close();
    await this.on.left();
    return true;
  }
}
