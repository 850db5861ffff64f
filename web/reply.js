/**
 * One answer on the page: watches its stream and shows text, state and end. Knows no conversation and no composer.
 */

import { Answer } from "./answer.js";
import { cancelStream, eventsUrl, readReadiness } from "./api.js";
import { announce, make } from "./element.js";
import { watch } from "./manycast.js";
import { describeCost, describeEnd, describeGap, describeRestart, describeState, quoteError } from "./words.js";

const LINE_STATES = new Set(["connecting", "reconnecting", "offline", "broker_unavailable"]);
const NO_WORKER_CHECK_MS = 3000;

export class Reply {
  /**
   * @param {object} hooks  `viewers(count)`, `settled(reply)`: once, when nothing more will come
   */
  constructor(id, hooks = {}) {
    this.id = id;
    this.hooks = hooks;
    this.answer = new Answer();
    this.done = null;
    this.settled = false;
    this.text = make("div", { class: "text" });
    this.note = make("p", { class: "note", hidden: true });
    this.state = make("p", { class: "state" });
    this.element = make("article", { class: "reply", "aria-busy": "true", "data-stream": id }, this.note, this.text, this.state);
    this.viewer = watch(eventsUrl(id), {
      chunk: (chunk) => this.#add(chunk),
      restart: () => this.#startOver(describeRestart()),
      gap: () => this.#startOver(describeGap()),
      done: (done) => (this.done = done),
      viewers: (count) => hooks.viewers?.(count),
      state: (state) => this.#enter(state),
    });
    this.#enter("connecting");
  }

  /** Ask the server to end the run; the end itself comes by the stream, as everyone sees it. */
  async stop() {
    this.#enter("stopping");
    await cancelStream(this.id);
  }

  #add(chunk) {
    this.answer.add(chunk);
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frame = null;
    this.text.textContent = this.answer.text;
    this.hooks.drawn?.();
  }

  #startOver(why) {
    this.answer.clear();
    this.#draw();
    this.note.textContent = why;
    this.note.hidden = false;
    announce(why);
  }

  #enter(state) {
    clearTimeout(this.check);
    this.element.dataset.state = state;
    if (["ended", "gone", "refused", "closed"].includes(state)) return this.#settle(state);
    this.state.textContent = describeState(state);
    this.state.classList.toggle("of-the-line", LINE_STATES.has(state));
    if (state === "queued") this.#checkWorkers();
    if (state !== "connecting") announce(describeState(state));
  }

  /** A queue without a worker looks like a slow one: ask, and say so. */
  #checkWorkers() {
    this.check = setTimeout(async () => {
      const readiness = await readReadiness();
      if (this.element.dataset.state !== "queued") return;
      if (readiness) this.state.textContent = describeState(readiness.workers === 0 ? "no_worker" : "queued");
      this.#checkWorkers();
    }, NO_WORKER_CHECK_MS);
  }

  #settle(state) {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.#draw();
    this.settled = true;
    this.element.ariaBusy = "false";
    const end = this.done ? describeEnd(this.done) : describeState(state);
    this.element.dataset.status = this.done?.status ?? state;
    this.state.textContent = end || describeCost(this.done ?? {});
    if (this.done?.error) this.element.append(make("blockquote", { class: "fault" }, quoteError(this.done.error)));
    announce(end || "The answer is complete.");
    this.hooks.settled?.(this);
  }
}
