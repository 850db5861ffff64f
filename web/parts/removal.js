/**
 * Removes conversations from this browser. Loaded when it is used.
 */

import { call, isPrivate, streamUrl, ticketOf, withTicket } from "./api.js";
import { say } from "./say.js";

/** @param {(ids: string[]) => void} removed  called if the reader confirms */
export function deleteConversation(conversations, id, removed) {
  if (!confirm(say("removal.confirm"))) return;
  const answers = (conversations.load(id)?.turns ?? []).filter(({ stream }) => stream);
  conversations.remove(id);
  removed([id]);
  deleteAnswers(answers);
}

async function deleteAnswers(turns) {
  const deleted = await Promise.all(turns.map(({ stream, cancel }) => deleteStream(stream, ticketOf(cancel))));
  const failed = deleted.filter((each) => !each).length;
  if (failed) alert(say("removal.failed", { count: failed }));
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
  if (ids.length > 0 && !confirm(say("removal.sign_out"))) return;
  if (!(await signOut())) return;
  for (const id of ids) conversations.remove(id);
  removed(ids);
}
