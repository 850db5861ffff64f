/**
 * The viewer's page: `/watch#STREAM_ID` shows one stream to anyone who has the link. The composition root of watch.html.
 */

import { find } from "./element.js";
import { Reply } from "./reply.js";
import { describeSurroundings } from "./surroundings.js";
import { describeViewers } from "./words.js";

let reply = null;

function show() {
  const id = decodeURIComponent(location.hash.slice(1));
  reply?.viewer.close();
  if (!id) {
    find("#turns").textContent = "This link names no stream: it should look like /watch#ID.";
    return;
  }
  reply = new Reply(id, { viewers: (count) => (find("#viewers").textContent = describeViewers(count)) });
  find("#turns").replaceChildren(reply.element);
}

addEventListener("hashchange", show);
show();
describeSurroundings();
