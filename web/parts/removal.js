/**
 * Removes conversations from this browser. Loaded when it is used.
 */

import { isPrivate } from "./api.js";

const CONFIRM_DELETION = "Delete this conversation from this browser? The server keeps its answers until they expire.";
const CONFIRM_SIGN_OUT =
  "Sign out? Conversations with private answers will be removed from this browser. To keep a copy, cancel, and export them in the settings.";

/** @param {(ids: string[]) => void} removed  called if the reader confirms */
export function deleteConversation(conversations, id, removed) {
  if (!confirm(CONFIRM_DELETION)) return;
  conversations.remove(id);
  removed([id]);
}

/**
 * Signs out. Whoever uses this browser next must not read what was private.
 *
 * @param {() => Promise<boolean>} signOut  returns whether it succeeded
 * @param {(ids: string[]) => void} removed  called with the conversations that contained private answers
 */
export async function forgetPrivate(conversations, signOut, removed) {
  const isHidden = ({ stream }) => stream && isPrivate(stream);
  const ids = conversations.list().map(({ id }) => id).filter((id) => conversations.load(id)?.turns.some(isHidden));
  if (ids.length > 0 && !confirm(CONFIRM_SIGN_OUT)) return;
  if (!(await signOut())) return;
  for (const id of ids) conversations.remove(id);
  removed(ids);
}
