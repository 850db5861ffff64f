/**
 * The requests about tickets, for the dialog that shares a private answer. See api.js.
 */

import { call, streamUrl, withTicket } from "./api.js";

/**
 * Create a ticket for other viewers: `{ticket, expires_at, urls}`, `expires_at` in Unix seconds. The parameter `ticket` is
 * our own, which controls the stream.
 */
export const mintTicket = (id, ticket) => call("POST", `${streamUrl(id)}/tickets`, { scope: "view" }, withTicket(ticket));

/** Revoke all tickets of a stream. Returns the new ticket that controls it. */
export const revokeTickets = async (id, ticket) =>
  (await call("DELETE", `${streamUrl(id)}/tickets`, null, withTicket(ticket))).tickets.control;
