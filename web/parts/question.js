/**
 * One question on the page, and the form for editing it.
 */

import { fitToText, iconButton, make } from "./element.js";

export class Question {
  /** @param {object} on  `edited(text)`: the question was changed and sent again */
  constructor(text, on) {
    this.text = text;
    this.on = on;
    this.element = make("article", { class: "question", "aria-label": "Question" });
    this.#show();
  }

  edit() {
    const field = make("textarea", { rows: "2", "aria-label": "Edit the question" });
    field.value = this.text;
    const cancel = make("button", { type: "button", onclick: () => this.#cancel() }, "Cancel");
    const form = make("form", { class: "editing" }, field, make("div", {}, cancel, make("button", { class: "primary" }, "Ask again")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) this.on.edited(field.value.trim());
    });
    field.addEventListener("keydown", (event) => this.#type(event, form));
    this.element.replaceChildren(form);
    field.addEventListener("input", () => fitToText(field));
    fitToText(field);
    field.focus();
    field.setSelectionRange(this.text.length, this.text.length);
  }

  #type(event, form) {
    if (event.key === "Escape") {
      event.preventDefault();
      this.#cancel();
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  #cancel() {
    this.#show();
    this.element.querySelector("button").focus();
  }

  #show() {
    const edit = iconButton("edit", "Edit the question", () => this.edit());
    this.element.replaceChildren(edit, make("div", { class: "bubble" }, this.text));
  }
}
