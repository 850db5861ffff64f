/**
 * The list of conversations: a drawer on small screens, a column on large ones.
 */

import { find, iconButton, make } from "./element.js";

/** @param {object} on  `removed(id)` */
export function showConversations(conversations, currentId, on) {
  const items = conversations.map(({ id, title }) => {
    const link = make("a", { href: `./#${id}`, "aria-current": id === currentId && "page" }, title || "Untitled");
    const remove = iconButton("trash", `Delete “${title || "Untitled"}”`, () => on.removed(id));
    return make("li", {}, link, remove);
  });
  find("#conversation-list").replaceChildren(...items);
  find("#no-conversations").hidden = items.length > 0;
}

/** Close the drawer. No effect if it is a column. */
export function closeSidebar() {
  const sidebar = find("#sidebar");
  if (sidebar.matches(":popover-open")) sidebar.hidePopover();
}
