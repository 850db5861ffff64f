/**
 * Removes conversations from this browser. Loaded when it is used.
 */

import { call, isPrivate, streamUrl, ticketOf, withTicket } from "./api.js";
import { countOf } from "./words.js";

const CONFIRM_DELETION =
  "Delete this conversation? It is deleted from this browser, and its answers from the server: their links stop working.";
const CONFIRM_SIGN_OUT =
  "Sign out? Conversations with private answers will be removed from this browser. To keep a copy, cancel, and export them in the settings.";

/** @param {(ids: string[]) => void} removed  called if the reader confirms */
export function deleteConversation(conversations, id, removed) {
  if (!confirm(CONFIRM_DELETION)) return;
  const answers = (conversations.load(id)?.turns ?? []).filter(({ stream }) => stream);
  conversations.remove(id);
  removed([id]);
  deleteAnswers(answers);
}

async function deleteAnswers(turns) {
  const deleted = await Promise.all(turns.map(({ stream, cancel }) => deleteStream(stream, ticketOf(cancel))));
  const failed = deleted.filter((each) => !each).length;
  if (failed) alert(`The server did not delete ${countOf(failed, "answer", "answers")}. It keeps such answers for a limited time.`);
}

/** Returns whether the server has no such stream any more. */
async function deleteStream(id, ticket) {
  const refusal = await call("DELETE", streamUrl(id), null, withTicket(ticket)).then(() => null, (error) => error);
  return refusal === null || refusal.status === 404;
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
