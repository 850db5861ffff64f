/**
 * Making elements. Text is always set as text: nothing in the page goes through an HTML parser.
 */

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

/** Say something to screen readers, once, when they are done with what they read. */
export function announce(text) {
  const region = find("#announcer");
  if (region && text) region.textContent = text;
}
