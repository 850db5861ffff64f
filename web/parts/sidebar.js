/**
 * The list of conversations: a drawer on small screens, a column on large ones.
 */

import { find, iconButton, make } from "./element.js";
import { say } from "./say.js";

/** @param {object} on  `removed(id)`, `renamed(id, title)` */
export function showConversations(conversations, currentId, on) {
  const items = conversations.map(({ id, title }) => {
    const shown = title || say("list.untitled");
    const link = make("a", { href: `./#${id}`, "aria-current": id === currentId && "page" }, shown);
    const rename = iconButton("edit", say("list.rename", { title: shown }), () => {
      const chosen = prompt(say("list.new_name"), title)?.trim();
      if (chosen) on.renamed(id, chosen);
    });
    const remove = iconButton("trash", say("list.delete", { title: shown }), () => on.removed(id));
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
