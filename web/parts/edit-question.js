/**
 * The form for editing a question. Loaded when it is used.
 */

import { fitToText, make } from "./element.js";
import { say } from "./say.js";
import { loadStyle } from "./style.js";

/**
 * Puts the form in place of what `element` shows.
 *
 * @param {object} on  `edited(text)`, `cancelled()`
 */
export async function editQuestion(element, text, on) {
  await loadStyle("dialog.css");
  const field = make("textarea", { rows: "2", "aria-label": say("question.edit") });
  field.value = text;
  const cancel = make("button", { type: "button", onclick: on.cancelled }, say("edit.cancel"));
  const form = make("form", { class: "editing" }, field, make("div", {}, cancel, make("button", { class: "primary" }, say("edit.ask"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) on.edited(field.value.trim());
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      on.cancelled();
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  element.replaceChildren(form);
  field.addEventListener("input", () => fitToText(field));
  fitToText(field);
  field.focus();
  field.setSelectionRange(text.length, text.length);
}
