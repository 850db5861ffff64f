/**
 * The viewer's page: `/watch#STREAM_ID` shows one stream to anyone who has the link, `/watch#STREAM_ID.TICKET` a private
 * one. Browsers do not send the part after `#` to servers. The composition root of watch.html.
 */

import { call, isPrivate, streamUrl } from "./api.js";
import { openStorage } from "./conversations.js";
import { copyButton, find, make } from "./element.js";
import { drawIcons, icon } from "./icons.js";
import { loadMarkdown } from "./markdown.js";
import { Replay } from "./replay.js";
import { Reply } from "./reply.js";
import { AutoScroll } from "./scroll.js";
import { applyKeptTheme } from "./settings.js";
import { share } from "./lazy.js";
import { describeEnvironment } from "./environment.js";
import { fillPage, loadMoreWords, loadWords, say, writeDate } from "./say.js";
import { describeViewers } from "./words.js";

const TITLE_LENGTH = 80;
const AT_ONCE_MS = 2000; // an answer that ends this soon was already complete: show its start

class WatchPage {
  constructor() {
    this.turns = find("#turns");
    this.autoScroll = new AutoScroll(find("main"), this.turns, find("#below"));
    this.reply = null;
  }

  open() {
    const [id, ...rest] = decodeURIComponent(location.hash.slice(1)).split(".");
    const ticket = rest.join(".") || null;
    this.reply?.leave();
    find("#share").hidden = !id || isPrivate(id); // only the caller can create links to a private stream
    if (!id) return this.turns.replaceChildren(make("p", { class: "state" }, say("watch.incomplete")));
    const replay = new Replay();
    const reply = new Reply({ id, ticket }, {
      viewers: (count) => (find("#viewers").textContent = describeViewers(count)),
      chunk: (chunk) => replay.record(chunk),
      startedOver: () => replay.forget(),
      settled: (state) => this.#settle(replay, state),
      entered: () => {
        history.replaceState(null, "", `#${encodeURIComponent(id)}`); // the ticket is a cookie now
        this.#showQuestion(reply);
      },
    });
    this.reply = reply;
    this.hasQuestion = false;
    this.#entitle(say("watch.heading"));
    this.openedAt = performance.now();
    find("#live").hidden = false;
    this.turns.replaceChildren(reply.element);
    reply.follow();
    if (!ticket) this.#showQuestion(reply);
    this.autoScroll.follow();
  }

  /** Shows what was asked, of which model and when, above the answer. A viewer who may not watch sees nothing of it. */
  async #showQuestion(reply) {
    const run = await call("GET", streamUrl(reply.id)).catch(() => null);
    if (!run?.created_at || reply !== this.reply || this.hasQuestion) return;
    this.hasQuestion = true;
    const asked = run.question ? make("div", { class: "bubble", dir: "auto" }, run.question) : null;
    const about = [run.model, writeDate(run.created_at, { dateStyle: "long", timeStyle: "short" })].filter(Boolean).join(" · ");
    this.turns.prepend(make("article", { class: "question", "aria-label": say("question.label") }, asked, make("p", { class: "small" }, about)));
    if (run.question) this.#entitle(run.question.replace(/\s+/g, " ").slice(0, TITLE_LENGTH));
  }

  #entitle(title) {
    find("#heading").textContent = title;
    document.title = `${title} · Manycast`;
  }

  #settle(replay, state) {
    const { reply } = this;
    find("#live").hidden = true;
    find("#viewers").textContent = "";
    if (state === "gone" || state === "refused") find("#share").hidden = true;
    else this.#showQuestion(reply); // if the network failed before
    if (performance.now() - this.openedAt < AT_ONCE_MS) this.autoScroll.rewind();
    if (replay.chunks.length === 0) return;
    const button = make("button", { type: "button", class: "text-button replay" }, icon("play"), say("watch.replay"));
    button.addEventListener("click", () => {
      if (replay.running) return replay.finish();
      button.lastChild.data = say("watch.show_all");
      this.autoScroll.follow();
      replay.run(reply, reply.done?.timing).then(() => (button.lastChild.data = say("watch.replay")));
    });
    reply.foot.prepend(copyButton(say("answer.copy"), () => reply.answer.text), button);
  }
}

async function main() {
  applyKeptTheme(openStorage());
  await Promise.all([loadWords(), loadMoreWords()]);
  fillPage();
  drawIcons();
  const plain = !(await loadMarkdown());
  const page = new WatchPage();
  page.open();
  addEventListener("hashchange", () => page.open());
  find("#share").addEventListener("click", () => share({ id: page.reply.id }));
  if (parent !== window) import("./embedded.js").then(({ embed }) => embed());
  describeEnvironment({ plain });
  document.documentElement.dataset.ready = "";
}

main();
