/**
 * One question on the page. edit-question.js has the form for editing it.
 */

import { iconButton, make } from "./element.js";
import { editQuestion } from "./lazy.js";
import { say } from "./say.js";

export class Question {
  /** @param {object} on  `edited(text)`: the question was changed and sent again */
  constructor(text, on) {
    this.text = text;
    this.on = on;
    this.element = make("article", { class: "question", "aria-label": say("question.label") });
    this.#show();
  }

  edit() {
    editQuestion(this.element, this.text, { edited: this.on.edited, cancelled: () => this.#cancel() });
  }

  #cancel() {
    this.#show();
    this.element.querySelector("button").focus();
  }

  #show() {
    const edit = iconButton("edit", say("question.edit"), () => this.edit());
    this.element.replaceChildren(edit, make("div", { class: "bubble" }, this.text));
  }
}
