/**
 * The list of conversations: a drawer on small screens, a column on large ones.
 */

import { find, iconButton, make } from "./element.js";
import { WORDS } from "./words.js";

/** @param {object} on  `removed(id)`, `renamed(id, title)` */
export function showConversations(conversations, currentId, on) {
  const items = conversations.map(({ id, title }) => {
    const link = make("a", { href: `./#${id}`, "aria-current": id === currentId && "page" }, title || WORDS.untitled);
    const rename = iconButton("edit", `Rename “${title || WORDS.untitled}”`, () => {
      const chosen = prompt(WORDS.rename, title)?.trim();
      if (chosen) on.renamed(id, chosen);
    });
    const remove = iconButton("trash", `Delete “${title || WORDS.untitled}”`, () => on.removed(id));
    return make("li", {}, link, rename, remove);
  });
  find("#conversation-list").replaceChildren(...items);
  find("#no-conversations").hidden = items.length > 0 || find("#search").value !== "";
}

/** Close the drawer. No effect if it is a column. */
export function closeSidebar() {
  const sidebar = find("#sidebar");
  if (sidebar.matches(":popover-open")) sidebar.hidePopover();
}
