// Types of shared.js.

import type { Callbacks, Options, Viewer } from "./manycast.js";

export interface SharedOptions extends Options {
  /** How many lines of their own the tabs of this browser have between them, before they share. Default 3. */
  ownLines?: number;
}

export function watchShared(url: string | URL, callbacks?: Callbacks, options?: SharedOptions): Omit<Viewer, "wake">;
