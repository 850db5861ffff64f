// Types of manycast.js. docs/protocol.md, section 2, specifies the shapes.

/** `epoch-seq`, for example `"1-42"`. */
export type Position = string;

/**
 * The state of a viewer. From the gateway's `ping`: `queued`, `waiting`, `streaming`, `parked` (a script waits for a person),
 * `worker_silent` (it may be dead: the answer then begins again soon), `broker_unavailable`, and `full` (the gateway has too many viewers; the viewer
 * retries). Of the connection: `connecting`, `reconnecting`, `offline`.
 * Final: `ended` (no more events), `gone` (the stream does not exist or has expired), `refused` (the gateway does not
 * allow it), `closed` (you called `close()`).
 */
export type State =
  | "connecting" | "queued" | "waiting" | "streaming" | "parked" | "worker_silent" | "broker_unavailable" | "full"
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

/** A step of a script (docs/protocol.md, section 14). The state says which of the other fields there are. */
export interface Step {
  id: string;
  state: "begin" | "chunk" | "end" | "restart";
  kind?: "generate" | "tool" | "part" | "script";
  name?: string;
  parent?: string | null;
  choices?: Record<string, any>[];
  ms?: number;
  [field: string]: any;
}

/** A question to people (docs/protocol.md, section 14). The state says which of the other fields there are. */
export interface Input {
  id: string;
  state: "asked" | "answered" | "refused" | "timed_out";
  question?: string;
  schema?: Record<string, any> | null;
  choices?: string[] | null;
  value?: any;
  by?: string | null;
  problem?: string;
  [field: string]: any;
}

export interface Callbacks {
  /** A new epoch begins, with its first chunk. */
  start?(start: { stream: string; epoch: number; chunk: Record<string, unknown> }, position: Position): void;
  /** A complete chunk, as the provider sent it. */
  chunk?(chunk: Record<string, any>, position: Position): void;
  /** The worker was lost: clear the text, the answer starts again. */
  restart?(restart: { epoch: number; reason: string }, position: Position): void;
  /** Redis lost data: clear the text, the stream follows from its start. */
  gap?(gap: { asked: Position; last: Position }): void;
  /** The end of the stream. Not called if `after` was already the end: see the states `ended` and `gone`. */
  done?(done: Done, position: Position | null): void;
  /** A step of a script begins, goes on, ends or starts again. */
  step?(step: Step, position: Position): void;
  /** A question of a script, or how it has ended. POST `{id, value}` to `/v1/streams/ID/input` to answer it. */
  input?(input: Input, position: Position): void;
  /** An event of a script's author. `step` is the id of the step that it belongs to. */
  emit?(emit: { id: string; name: string; step: string | null; data: any }, position: Position): void;
  /** The number of viewers, over all gateways. */
  viewers?(count: number): void;
  /** Called when the state changes. Not called for the first state, `connecting`. */
  state?(state: State): void;
  /**
   * The gateway refused the stream for good. `code` for a private stream: `ticket_missing`, `ticket_invalid`,
   * `ticket_expired` or `ticket_revoked` (also for viewers that were admitted before).
   */
  refused?(answer: { status: number; error: { message: string; code: string | null } }): void;
  /** Every event as it arrived, before the callback of its name. */
  event?(event: { name: string; data: any; position: Position | null }): void;
}

export interface Options {
  after?: Position | null;
  stallAfterMs?: number;
  withCredentials?: boolean;
  /** Opens a connection. Default: `new EventSource(url, init)`. The result must behave like an EventSource. */
  connect?(url: URL, init: { withCredentials: boolean }): EventTarget & { readonly readyState: number; close(): void };
}

export interface Viewer {
  readonly position: Position | null;
  readonly state: State;
  /** Never rejects. */
  readonly finished: Promise<Done | null>;
  close(): void;
  /** Call this if the device may have slept. On a page, the viewer notices it without this. */
  wake(): void;
}

/** `url` may contain a ticket (`?ticket=`): every reconnection sends it. */
export function watch(url: string | URL, callbacks?: Callbacks, options?: Options): Viewer;
/** The names of all events. */
export const EVENTS: string[];
/** Whether `position` comes after `other`; null comes before every event. */
export function isAfter(position: Position | null, other: Position | null): boolean;
/** Calls the callback for each raw event, with complete chunks. */
export class EventDispatcher {
  constructor(callbacks: Callbacks);
  dispatch(event: { name: string; data: any; position: Position | null }): void;
}
export function merge(shared: Record<string, any>, difference: Record<string, any>): Record<string, any>;
