/**
 * The page for unknown addresses, in its reader's language.
 */

import { fillPage, loadMoreWords } from "./say.js";

await loadMoreWords();
fillPage();
document.documentElement.dataset.ready = "";
