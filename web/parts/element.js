/**
 * Creates elements. Text is always set as text: the page never uses an HTML parser.
 */

import { icon } from "./icons.js";
import { say } from "./say.js";

/** `make("a", {href, class, onclick, "aria-label", …}, ...children)`; children are nodes, texts, or null. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (selector, root = document) => root.querySelector(selector);

/** A button that shows only an icon. `label` is its name for screen readers. */
export function iconButton(name, label, onclick) {
  return make("button", { type: "button", class: `quiet ${name}-button`, "aria-label": label, title: label, onclick }, icon(name));
}

/** A button that copies `text()` to the clipboard and confirms it. */
export function copyButton(label, text) {
  const button = iconButton("copy", label, async () => {
    const copied = await copy(text());
    button.replaceChildren(icon(copied ? "check" : "close"));
    announce(say(copied ? "text.copied" : "text.not_copied"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

/** Returns whether it succeeded. Without a secure context (http on another machine) there is no clipboard API. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = make("textarea", { class: "unseen", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

/** Makes a text field as tall as its text, up to its max-height, in browsers without `field-sizing`. */
export function fitToText(field) {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

/** Announces a text to screen readers once, after their current text. */
export function announce(text) {
  const region = find("#announcer");
  if (region && text) region.textContent = text;
}
