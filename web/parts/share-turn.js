/**
 * Shares an answer of a conversation, whose tickets this page has. Loaded when it is used.
 */

import { cancelUrl, ticketOf } from "./api.js";
import { share } from "./share.js";
import { revokeTickets } from "./ticket-api.js";

/**
 * @param {object} turn  of a conversation
 * @param {object} reply  that shows it
 * @param {() => void} store  stores the turn, which has changed
 */
export function shareTurn(turn, reply, store) {
  const revoke = () =>
    reply.renewTicket(async (ticket) => {
      const control = await revokeTickets(turn.stream, ticket);
      turn.cancel = cancelUrl(turn.stream, control);
      store();
      return control;
    });
  share({ id: turn.stream, ticket: () => ticketOf(turn.cancel), revoke });
}
