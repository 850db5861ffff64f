/**
 * What the page loads only when it is used. Each function has the parameters of the one that it loads, and no result.
 */

import { announce } from "./element.js";
import { loadMoreWords, say } from "./say.js";

const use = (load, name) => async (...args) => {
  const [module] = await Promise.all([load(), loadMoreWords()]).catch(() => []);
  if (module) module[name](...args);
  else announce(say("server.unreachable"));
};

export const share = use(() => import("./share.js"), "share");
export const shareTurn = use(() => import("./share-turn.js"), "shareTurn");
export const editQuestion = use(() => import("./edit-question.js"), "editQuestion");
export const explainElsewhere = use(() => import("./elsewhere.js"), "explainElsewhere");
export const exportAll = use(() => import("./archive.js"), "exportAll");
export const openSettings = use(() => import("./settings-dialog.js"), "openSettings");
export const deleteConversation = use(() => import("./removal.js"), "deleteConversation");
