/**
 * One answer on the page: watches its stream and shows text, state and end. Independent of conversations and composer.
 */

import { Answer } from "./answer.js";
import { cancelStream, cancelUrl, eventsUrl, isPrivate, keepTicket, readReadiness, ticketOf } from "./api.js";
import { ChoiceView } from "./choice.js";
import { announce, make } from "./element.js";
import { watch } from "./manycast.js";
import { loadMoreWords, say } from "./say.js";
import { watchShared } from "./shared.js";
import { describeCost, describeEnd, describeObjection, describeRestart, describeState } from "./words.js";

const QUIET_S = 5; // a pause this long is told
const FINAL = new Set(["ended", "gone", "refused"]);
const UNDER_WAY = new Set(["connecting", "queued", "waiting", "streaming", "parked", "worker_silent"]);
const MODEL_IS_ASKED = new Set(["waiting", "streaming"]);
const NO_WORKER_CHECK_MS = 2000;
const RETRY_MS = 2000;
const SCRIPT_PREFIX = "script/"; // of a script's model

export class Reply {
  /**
   * @param {object} stream  `id`: null if no run could be started; `cancel`: the URL that stops it, if we may; `ticket`:
   *   the ticket for a private stream (default: the one in `cancel`)
   * @param {object} hooks  all optional: `viewers(count)`, `chunk(chunk)`, `settled(state)` once at the end, `retry()` for the
   *   button of a failed answer, `entered()` when a ticket was accepted
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
    this.stopping = false; // Stop was pressed, and the run has not ended yet
    this.heardAt = 0; // when the last chunk came
    this.clock = null;
    this.objection = ""; // why it could not be stopped
    this.script = null; // resolves to the view of a script's steps
    this.note = make("p", { class: "note", hidden: true });
    this.stepsPlace = make("div", { class: "steps-place" });
    this.choices = make("div", { class: "choices" });
    this.state = make("p", { class: "state" });
    this.foot = make("div", { class: "foot" });
    this.element = make("article", { class: "reply", "aria-label": say("answer.label") }, this.note, this.stepsPlace, this.choices, this.state, this.foot);
    if (id) this.element.dataset.stream = id;
  }

  /** Show the stream from its start to its end. */
  follow() {
    this.element.ariaBusy = "true";
    this.#enter("connecting");
    this.#startWatching(null);
    return this;
  }

  /** Exchange the ticket, if any, for a cookie, so that no URL contains it. Then watch from `after` on. */
  async #startWatching(after) {
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
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    if (!this.left) this.#watch(after);
  }

  #watch(after) {
    const callbacks = {
      chunk: (chunk) => this.#add(chunk),
      restart: ({ reason }) => {
        if (reason === "script_changed") this.#withScript("clear");
        this.#startOver(describeRestart(reason));
      },
      gap: () => {
        this.#withScript("clear");
        this.#startOver(say("answer.gap"));
      },
      step: (data) => this.#takeStep("step", data),
      input: (data) => this.#takeStep("input", data),
      done: (done) => {
        this.done = done;
        if (done.error?.code === "stream_deleted") this.rewind();
      },
      viewers: (count) => this.hooks.viewers?.(count),
      refused: ({ error }) => (this.refusal = error),
      state: (state) => this.#enter(state),
    };
    this.#follow(callbacks, after);
  }

  #follow(callbacks, after = null) {
    // Frames may not share.
    const follow = parent === window ? watchShared : watch;
    this.viewer = follow(eventsUrl(this.id), callbacks, { after, ticket: isPrivate(this.id) ? this.ticket : null });
  }

  /**
   * Call `change`, which revokes our ticket and returns a new one, and continue from the same position. The connection is
   * closed meanwhile: the gateway would end it.
   */
  async renewTicket(change) {
    const { viewer } = this;
    viewer?.close();
    try {
      this.ticket = await change(this.ticket);
      this.cancel = cancelUrl(this.id, this.ticket);
    } finally {
      if (viewer && !this.over) this.#startWatching(viewer.position);
    }
  }

  /** Show a stored answer: `{choices, model, done}`. */
  recall({ choices, model = null, done }) {
    this.answer.choices = choices;
    this.answer.model = model;
    this.done = done;
    this.#settle("ended");
    if (this.id && model?.startsWith(SCRIPT_PREFIX)) this.#recallStepsWhenSeen();
    return this;
  }

  /** The steps of a script are not stored with its answer. A long conversation reads only those that somebody sees. */
  #recallStepsWhenSeen() {
    this.sight = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.sight.disconnect();
      this.#recallSteps();
    });
    this.sight.observe(this.element);
  }

  /** Read the steps from the stream again. If the server does not have it any more, there are none. */
  async #recallSteps() {
    if (this.ticket && isPrivate(this.id)) await keepTicket(this.id, this.ticket).catch(() => {});
    if (this.left) return;
    this.#follow({
      restart: ({ reason }) => reason === "script_changed" && this.#withScript("clear"),
      gap: () => this.#withScript("clear"),
      step: (data) => this.#takeStep("step", data),
      input: (data) => this.#takeStep("input", data),
    });
  }

  /** Ask the server to end the run. The end arrives through the stream, as for every viewer. */
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
    this.sight?.disconnect();
    clearTimeout(this.check);
    clearInterval(this.clock);
  }

  /** Clear the answer. The caller then adds chunks again. For replays. */
  rewind() {
    this.answer.clear();
    this.views.forEach((view) => view.clear());
  }

  add(chunk) {
    this.heardAt = performance.now();
    this.answer.add(chunk);
    this.drawSoon();
  }

  #add(chunk) {
    this.add(chunk);
    this.hooks.chunk?.(chunk);
  }

  /** A step of a script, or a question. What shows them is loaded with the first one. */
  #takeStep(event, data) {
    this.heardAt = performance.now();
    if (!this.script) {
      const stream = { id: this.id, ticket: () => this.ticket ?? ticketOf(this.cancel) };
      this.script = import("./script-view.js").then((module) => module.openScriptView(this.stepsPlace, stream)).catch(() => null);
      if (this.over) this.#endScript();
    }
    this.#withScript("take", event, data);
  }

  #endScript() {
    this.#withScript("end", this.answer.text !== "");
  }

  #withScript(method, ...args) {
    this.script?.then((view) => view?.[method](...args));
  }

  /** Draw once in the next frame, even if several chunks arrive before it. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frame = null;
    let complete = true;
    this.answer.choices.forEach((choice, index) => {
      if (!choice) return; // a place without a choice, in a stored answer
      this.views[index] ??= this.#addView(index);
      complete = this.views[index].draw(choice, this.over) && complete;
    });
    if (!complete) this.drawSoon();
    else if (this.over) this.element.ariaBusy = "false";
  }

  #addView(index) {
    const view = new ChoiceView(index);
    this.choices.append(view.element);
    const views = this.views.filter(Boolean).concat(view);
    this.choices.classList.toggle("several", views.length > 1);
    views.forEach((each) => each.label(views.length));
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
    const state = this.stopping && UNDER_WAY.has(entered) ? "stopping" : entered; // more text may arrive before the end
    this.element.dataset.state = state;
    if (FINAL.has(state)) return this.#settle(state);
    const words = (UNDER_WAY.has(state) && this.objection) || describeState(state);
    this.state.classList.toggle("objection", this.objection !== "");
    this.state.classList.remove("quiet");
    this.heardAt = performance.now();
    this.clock ??= setInterval(() => this.#tellQuiet(), 1000);
    this.#say(words);
    if (state === "queued") this.#checkWorkers();
    if (state !== "connecting") announce(words);
  }

  #say(text) {
    this.state.replaceChildren(make("span", { class: "dots", "aria-hidden": "true" }), text);
  }

  #tellQuiet() {
    const seconds = Math.floor((performance.now() - this.heardAt) / 1000);
    const wasQuiet = this.state.classList.contains("quiet");
    const isQuiet = MODEL_IS_ASKED.has(this.element.dataset.state) && seconds >= QUIET_S && !this.objection;
    if (!isQuiet && !wasQuiet) return;
    this.state.classList.toggle("quiet", isQuiet);
    const words = isQuiet ? say("answer.quiet", { seconds }) : "";
    this.#say(words || this.objection || describeState(this.element.dataset.state));
    if (isQuiet && !wasQuiet) announce(words);
  }

  /** While the run is queued, check whether any worker runs, and show it. */
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
    clearInterval(this.clock);
    this.state.classList.remove("objection", "quiet");
    this.element.dataset.state = state;
    this.element.dataset.status = this.done?.status ?? state;
    this.drawSoon();
    const isEmpty = this.done?.status === "completed" && this.answer.choices.length === 0;
    const end = describeEnd(this.done ?? { status: state }) || (isEmpty ? say("end.empty") : "");
    this.state.textContent = end;
    this.state.hidden = end === "";
    this.#endScript();
    this.element.classList.toggle("textless", this.answer.text === "");
    if (this.answer.model) this.foot.append(make("span", { class: "model" }, this.answer.model));
    if (this.done) this.foot.append(make("span", { class: "cost" }, describeCost(this.done)));
    if (this.done?.status === "failed") this.#explainFailure(this.done.error);
    else if (state === "refused" && this.refusal) this.#explainRefusal();
    else announce(end || say("end.complete"));
    this.hooks.settled?.(state);
  }

  async #explainFailure(error) {
    const { retry } = this.hooks;
    const [module] = await Promise.all([import("./fault.js"), loadMoreWords()]).catch(() => []);
    if (!module) {
      if (error?.refused) this.state.textContent = error.message; // that the server cannot be reached
      return announce(this.state.textContent);
    }
    this.state.after(await module.makeFault(error, retry));
    this.state.hidden = true;
  }

  /** Says why this viewer may not watch. */
  async #explainRefusal() {
    const [module] = await Promise.all([import("./failure-words.js"), loadMoreWords()]).catch(() => []);
    if (module) this.state.textContent = module.describeNoEntry(this.refusal);
    announce(this.state.textContent);
  }
}
