// Types of shared.js.

import type { Callbacks, Options, Viewer } from "./manycast.js";

export interface SharedOptions extends Options {
  /** The ticket of a private stream, if the URL does not contain it: a shared connection sends no cookie of a stream. */
  ticket?: string | null;
  /** How many tabs of this browser have their own connection before tabs share one. Default 1. */
  ownLines?: number;
}

export function watchShared(url: string | URL, callbacks?: Callbacks, options?: SharedOptions): Omit<Viewer, "wake">;
