// Types of shared.js.

import type { Callbacks, Options, Viewer } from "./manycast.js";

export interface SharedOptions extends Options {
  /** How many tabs of this browser have their own connection before tabs share one. Default 3. */
  ownLines?: number;
}

export function watchShared(url: string | URL, callbacks?: Callbacks, options?: SharedOptions): Omit<Viewer, "wake">;
