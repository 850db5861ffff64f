// Types of manycast.js. The shapes are docs/protocol.md's, section 2.

/** `epoch-seq`, for example `"1-42"`. */
export type Position = string;

/**
 * Where a viewer stands. `queued`, `waiting`, `streaming`, `broker_unavailable`, `full` (too many watch there; it comes
 * back by itself): the gateway's own words (a `ping`).
 * `connecting`, `reconnecting`, `offline`: the line. `ended`: there is nothing more. `gone`: no such stream, or expired.
 * `refused`: the gateway will not show it. `closed`: you called `close()`. The last four are final.
 */
export type State =
  | "connecting" | "queued" | "waiting" | "streaming" | "broker_unavailable" | "full"
  | "reconnecting" | "offline" | "ended" | "gone" | "refused" | "closed";

export interface RunError {
  code: string | null;
  message: string;
  type: string | null;
  param: string | null;
  retryable: boolean;
  http_status: number | null;
}

export interface Done {
  status: "completed" | "cancelled" | "failed";
  finish_reason: string | null;
  usage: Record<string, unknown> | null;
  error: RunError | null;
  timing: { queued_ms: number | null; first_chunk_ms: number | null; total_ms: number | null; pace?: number[] } | null;
}

export interface Callbacks {
  /** A new epoch begins, with its first chunk. */
  start?(start: { stream: string; epoch: number; chunk: Record<string, unknown> }, position: Position): void;
  /** A whole chunk, as the provider sent it. */
  chunk?(chunk: Record<string, any>, position: Position): void;
  /** The worker was lost: clear what is shown, the answer begins again. */
  restart?(restart: { epoch: number; reason: string }, position: Position): void;
  /** The broker lost data: clear what is shown, the stream follows from its start. */
  gap?(gap: { asked: Position; last: Position }): void;
  /** The one end. It is missing where `after` stood at the end already: see the states `ended` and `gone`. */
  done?(done: Done, position: Position | null): void;
  /** How many watch, over all gateways. */
  viewers?(count: number): void;
  /** Called when the state changes, and only then; the first one, `connecting`, is not announced. */
  state?(state: State): void;
  /**
   * The gateway refused the stream for good. `code` of a private one: `ticket_missing`, `ticket_invalid`,
   * `ticket_expired` or `ticket_revoked` (also for who was let in before).
   */
  refused?(answer: { status: number; error: { message: string; code: string | null } }): void;
  /** Every event as it came, before the callback of its name. */
  event?(event: { name: string; data: any; position: Position | null }): void;
}

export interface Options {
  after?: Position | null;
  stallAfterMs?: number;
  withCredentials?: boolean;
}

export interface Viewer {
  readonly position: Position | null;
  readonly state: State;
  /** Never rejects. */
  readonly finished: Promise<Done | null>;
  close(): void;
  /** Tell it that the device may have slept; on a page it notices by itself. */
  wake(): void;
}

/** `url` may carry a ticket (`?ticket=`): it goes along each time the line is made anew. */
export function watch(url: string | URL, callbacks?: Callbacks, options?: Options): Viewer;
/** Whether `position` stands after `other`; null stands before every event. */
export function isAfter(position: Position | null, other: Position | null): boolean;
/** Tells callbacks what raw events say, the chunks whole. */
export class Teller {
  constructor(callbacks: Callbacks);
  tell(event: { name: string; data: any; position: Position | null }): void;
}
export function merge(shared: Record<string, any>, difference: Record<string, any>): Record<string, any>;
