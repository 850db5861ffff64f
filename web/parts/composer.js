/**
 * The field for questions: Enter sends, Shift+Enter starts a new line, Esc stops the answer, / focuses the field.
 */

import { find, fitToText } from "./element.js";

export class Composer {
  /** @param {object} on  `ask(text)`, `stop()`, `editLast()`, `changed(text)`: what is typed and not sent */
  constructor(on) {
    this.form = find("#composer");
    this.field = find("#question");
    this.send = find("#send");
    this.stop = find("#stop");
    this.busy = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(on.ask);
    });
    this.stop.addEventListener("click", on.stop);
    this.field.addEventListener("input", () => {
      this.#show();
      on.changed(this.field.value);
    });
    this.field.addEventListener("keydown", (event) => this.#type(event, on));
    document.addEventListener("keydown", (event) => this.#shortcut(event, on));
    this.#show();
  }

  /** While an answer streams, Stop replaces Send. */
  setBusy(busy) {
    this.busy = busy;
    this.#show();
  }

  fill(text) {
    this.field.value = text;
    this.#show();
  }

  #submit(ask) {
    const text = this.field.value.trim();
    if (!text || this.busy) return;
    this.field.value = "";
    this.#show();
    ask(text);
  }

  #type(event, on) {
    if (event.isComposing) return; // Enter confirms a character of an input method
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.form.requestSubmit();
    }
    if (event.key === "ArrowUp" && this.field.value === "" && !this.busy) {
      event.preventDefault();
      on.editLast();
    }
  }

  #shortcut(event, on) {
    if (event.defaultPrevented || find("dialog[open]")) return;
    if (event.key === "Escape" && this.busy) on.stop();
    const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.field.focus();
    }
  }

  #show() {
    this.form.classList.toggle("busy", this.busy);
    this.send.hidden = this.busy;
    this.stop.hidden = !this.busy;
    this.send.disabled = this.field.value.trim() === "";
    fitToText(this.field);
  }
}
