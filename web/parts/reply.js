/**
 * One answer on the page: watches its stream and shows text, state and end. Knows no conversation and no composer.
 */

import { Answer } from "./answer.js";
import { cancelStream, cancelUrl, eventsUrl, isPrivate, keepTicket, readReadiness, ticketOf } from "./api.js";
import { ChoiceView } from "./choice.js";
import { announce, make } from "./element.js";
import { icon } from "./icons.js";
import { watchShared } from "./shared.js";
import { describeCost, describeEnd, describeGap, describeNoEntry, describeObjection, describeRestart, describeState, quoteError } from "./words.js";

const FINAL = new Set(["ended", "gone", "refused"]);
const UNDER_WAY = new Set(["connecting", "queued", "waiting", "streaming"]);
const NO_WORKER_CHECK_MS = 2000;
const KNOCK_AGAIN_MS = 2000;

export class Reply {
  /**
   * @param {object} stream  `id`: null where none could be started; `cancel`: the address that stops it, where we may;
   *   `ticket`: what lets us in where it is private, if not that of `cancel`
   * @param {object} hooks  all optional: `viewers(count)`, `drawn()`, `chunk(chunk)`, `settled(state)` once, when nothing
   *   more will come, `retry()` which a failed answer then offers, `entered()` when a ticket has let us in
   */
  constructor({ id, cancel = null, ticket = ticketOf(cancel) }, hooks = {}) {
    this.id = id;
    this.cancel = cancel;
    this.ticket = ticket;
    this.hooks = hooks;
    this.answer = new Answer();
    this.views = [];
    this.done = null;
    this.over = false;
    this.left = false;
    this.stopping = false; // Stop was pressed, and the end has not come yet
    this.objection = ""; // why it could not be stopped
    this.note = make("p", { class: "note", hidden: true });
    this.choices = make("div", { class: "choices" });
    this.state = make("p", { class: "state" });
    this.foot = make("div", { class: "foot" });
    this.element = make("article", { class: "reply", "aria-label": "Answer" }, this.note, this.choices, this.state, this.foot);
    if (id) this.element.dataset.stream = id;
  }

  /** Show a stream from its start, or wherever it stands, until its end. */
  follow() {
    this.element.ariaBusy = "true";
    this.#enter("connecting");
    this.#comeIn(null);
    return this;
  }

  /** Watch from `after` on; with a ticket, once it is exchanged for a cookie: then it stands in no address. */
  async #comeIn(after) {
    while (this.ticket && isPrivate(this.id)) {
      const refusal = await keepTicket(this.id, this.ticket).then(() => null, (error) => error);
      if (this.left) return;
      if (!refusal) {
        this.hooks.entered?.();
        break;
      }
      this.refusal = refusal;
      if (refusal.status === 404) return this.#enter("gone");
      if (refusal.status >= 400 && refusal.status < 500 && refusal.status !== 429) return this.#enter("refused");
      if (this.element.dataset.state !== "reconnecting") this.#enter("reconnecting");
      await new Promise((resolve) => setTimeout(resolve, KNOCK_AGAIN_MS));
    }
    if (!this.left) this.#watch(after);
  }

  #watch(after) {
    const callbacks = {
      chunk: (chunk) => this.#add(chunk),
      restart: ({ reason }) => this.#startOver(describeRestart(reason)),
      gap: () => this.#startOver(describeGap()),
      done: (done) => (this.done = done),
      viewers: (count) => this.hooks.viewers?.(count),
      refused: ({ error }) => (this.refusal = error),
      state: (state) => this.#enter(state),
    };
    this.viewer = watchShared(eventsUrl(this.id), callbacks, { after });
  }

  /**
   * Let `change` make our own ticket void, and go on with the one it answers, from where we are. Without a line
   * meanwhile: it would be sent away.
   */
  async renewTicket(change) {
    const { viewer } = this;
    viewer?.close();
    try {
      this.ticket = await change(this.ticket);
      this.cancel = cancelUrl(this.id, this.ticket);
    } finally {
      if (viewer && !this.over) this.#comeIn(viewer.position);
    }
  }

  /** Show an answer that was kept: `{choices, done}`. */
  recall({ choices, done }) {
    this.answer.choices = choices;
    this.done = done;
    this.#settle("ended");
    return this;
  }

  /** Ask the server to end the run; the end itself comes by the stream, as everyone sees it. */
  async stop() {
    this.stopping = true;
    this.objection = "";
    this.#enter("stopping");
    await cancelStream(this.cancel ?? cancelUrl(this.id)).catch((refusal) => {
      if (this.over) return;
      this.stopping = false;
      this.objection = describeObjection(refusal);
      this.#enter(this.viewer?.state ?? "connecting");
    });
  }

  leave() {
    this.left = true;
    this.hooks = {};
    this.viewer?.close();
    clearTimeout(this.check);
  }

  /** Show the answer from nothing again; the caller then adds chunks. For replays. */
  rewind() {
    this.answer.clear();
    this.views.forEach((view) => view.clear());
  }

  add(chunk) {
    this.answer.add(chunk);
    this.drawSoon();
  }

  #add(chunk) {
    this.add(chunk);
    this.hooks.chunk?.(chunk);
  }

  /** Draw in the next frame, however many chunks come until then. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frame = null;
    let complete = true;
    this.answer.choices.forEach((choice, index) => {
      this.views[index] ??= this.#addView(index);
      complete = this.views[index].draw(choice, this.over) && complete;
    });
    if (!complete) this.drawSoon();
    else if (this.over) this.element.ariaBusy = "false";
    this.hooks.drawn?.();
  }

  #addView(index) {
    const view = new ChoiceView(index);
    this.choices.append(view.element);
    this.choices.classList.toggle("several", this.choices.children.length > 1);
    return view;
  }

  #startOver(why) {
    this.rewind();
    this.note.textContent = why;
    this.note.hidden = false;
    announce(why);
    this.hooks.startedOver?.();
  }

  #enter(entered) {
    clearTimeout(this.check);
    if (entered === "closed") return;
    const state = this.stopping && UNDER_WAY.has(entered) ? "stopping" : entered; // words may still come until the end
    this.element.dataset.state = state;
    if (FINAL.has(state)) return this.#settle(state);
    const words = (UNDER_WAY.has(state) && this.objection) || describeState(state);
    this.state.classList.toggle("objection", this.objection !== "");
    this.#say(words);
    if (state === "queued") this.#checkWorkers();
    if (state !== "connecting") announce(words);
  }

  #say(text) {
    this.state.replaceChildren(make("span", { class: "dots", "aria-hidden": "true" }), text);
  }

  /** A queue without a worker looks like a slow one: ask, and say so. */
  #checkWorkers() {
    this.check = setTimeout(async () => {
      const readiness = await readReadiness();
      if (this.element.dataset.state !== "queued") return;
      if (readiness && !this.objection) this.#say(describeState(readiness.workers === 0 ? "no_worker" : "queued"));
      this.#checkWorkers();
    }, NO_WORKER_CHECK_MS);
  }

  #settle(state) {
    this.over = true;
    this.state.classList.remove("objection");
    this.element.dataset.state = state;
    this.element.dataset.status = this.done?.status ?? state;
    this.drawSoon();
    const end = this.done ? describeEnd(this.done) : this.#describeClosing(state);
    const failed = this.done?.status === "failed";
    this.state.textContent = end;
    this.state.hidden = end === "" || failed;
    if (failed) this.state.after(this.#describeFault(end, this.done.error));
    if (this.done) this.foot.append(make("span", { class: "cost" }, describeCost(this.done)));
    announce(end || "The answer is complete.");
    this.hooks.settled?.(state);
  }

  #describeClosing(state) {
    return state === "refused" && this.refusal ? describeNoEntry(this.refusal) : describeState(state);
  }

  #describeFault(what, error) {
    const retry = this.hooks.retry && make("button", { type: "button", onclick: this.hooks.retry }, icon("again"), "Try again");
    const words = make("p", { class: "words" }, quoteError(error));
    return make("div", { class: error?.refused ? "fault mild" : "fault" }, make("div", {}, make("strong", {}, what), words), retry);
  }
}
