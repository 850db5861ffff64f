/**
 * One run in detail, for developers: its facts, pace, epochs and raw events, live.
 */

import { eventsUrl, watchUrl } from "./api.js";
import { drawChart } from "./chart.js";
import { make } from "./element.js";
import { watchShared } from "./shared.js";
import { describeClock, describeMilliseconds, describeStatus } from "./run-words.js";
import { say, writeNumber } from "./say.js";
import { describeNoEntry } from "./failure-words.js";

const MOST_EVENTS = 1000; // rows; more rows make the page slow
const LONGEST_ROW = 4000; // characters
const CAME_AT_ONCE_MS = 250; // a late viewer first gets old events at once: they do not show the pace

export class RunView {
  /** @param {string | null} other  the id of a run of the same script, to compare it with */
  constructor(run, other = null) {
    this.run = run;
    this.events = 0;
    this.chunks = 0;
    this.epochs = [];
    this.epoch = "0";
    this.arrivals = [];
    this.begun = performance.now();
    this.facts = make("dl", { class: "facts" });
    this.pace = make("div", { class: "pace" });
    this.script = make("div", { class: "script" });
    this.rows = make("ol", { class: "events", tabindex: "0", "aria-label": say("run.events") });
    this.element = make(
      "div",
      {},
      make("h2", {}, run.prompt || run.id),
      make("p", { class: "links small" }, make("a", { href: watchUrl(run.id) }, say("run.watch")), make("a", { href: run.urls.status }, say("run.status_link")), make("a", { href: run.urls.completion }, say("run.completion"))),
      this.script,
      this.facts,
      this.pace,
      make("h3", {}, say("run.events")),
      this.rows,
    );
    if (run.model.startsWith("script/")) this.#openScript(other);
    this.viewer = watchShared(eventsUrl(run.id), {
      event: (event) => this.#take(event),
      refused: ({ error }) => this.rows.before(make("p", { class: "small" }, describeNoEntry(error))),
    });
    this.show(run);
  }

  /** What shows the steps of a script is loaded with the first one. Events wait for it. */
  async #openScript(other) {
    this.steps = import("./script-run.js").then(({ ScriptRun }) => new ScriptRun(this.run.id, other)).catch(() => null);
    const steps = await this.steps;
    if (steps) this.script.append(steps.element);
  }

  /** @param {object[]} runs  with which this one may be compared */
  offer(runs) {
    this.steps?.then((steps) => steps?.offer(runs.filter(({ model }) => model === this.run.model)));
  }

  close() {
    this.viewer.close();
    this.steps?.then((steps) => steps?.close());
    cancelAnimationFrame(this.frame);
  }

  /** Update from the list of runs. */
  show(run) {
    this.run = run;
    this.#drawSoon();
  }

  #take({ name, data, position }) {
    if (name === "ping") return;
    this.steps?.then((steps) => steps?.take({ name, data }));
    const [epoch] = position?.split("-") ?? [this.epoch];
    // A script that goes on has no event of its own for that.
    if (epoch !== this.epoch && name !== "start" && name !== "restart") this.epochs.push(epoch);
    this.epoch = epoch;
    if (name === "start") this.epochs.push(say("run.began", { epoch: data.epoch }));
    if (name === "restart") this.epochs.push(`${data.epoch}: ${data.reason}`);
    if (name === "chunk") {
      this.chunks += 1;
      this.arrivals.push(performance.now() - this.begun);
    }
    if (name === "done") this.done = data;
    this.events += 1;
    (this.fresh ??= []).push([name, data, position]);
    this.#drawSoon();
  }

  #drawSoon() {
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frame = null;
    const atEnd = this.rows.scrollHeight - this.rows.scrollTop - this.rows.clientHeight < 40;
    this.rows.append(...(this.fresh ?? []).slice(-MOST_EVENTS).map(eventRow));
    this.fresh = [];
    while (this.rows.children.length > MOST_EVENTS) this.rows.firstChild.remove();
    if (atEnd) this.rows.scrollTop = this.rows.scrollHeight;
    this.facts.replaceChildren(...this.#facts().flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    const pace = this.#pace();
    this.pace.replaceChildren(...(pace.length ? [make("h3", {}, say("run.pace")), drawChart(pace, say("run.pace"))] : []));
  }

  #facts() {
    const { run } = this;
    const timing = this.done?.timing ?? run.timing ?? {};
    const usage = this.done?.usage ?? run.usage;
    const error = this.done?.error ?? run.error;
    return [
      [say("run.stream"), make("code", {}, run.id)],
      [say("run.status"), [describeStatus(run.status), run.finish_reason].filter(Boolean).join(", ")],
      [say("run.model"), run.model || say("run.default_model")],
      [say("run.asked"), describeClock(run.created_at)],
      [say("run.waited"), describeMilliseconds(timing.queued_ms)],
      [say("run.first_chunk"), describeMilliseconds(timing.first_chunk_ms)],
      [say("run.took"), describeMilliseconds(timing.total_ms)],
      [say("run.chunks"), writeNumber(this.chunks)],
      [say("run.tokens"), usage ? say("run.tokens_used", { prompt: usage.prompt_tokens, completion: usage.completion_tokens }) : "–"],
      [say("run.viewers"), describeViewersByGateway(run)],
      [say("run.epochs"), this.epochs.join(" · ") || String(run.epoch)],
      ...(error ? [[say("run.error"), `${error.code}: ${error.message}`]] : []),
    ];
  }

  /** Chunks per second: as the worker counted them, otherwise as this page received them. */
  #pace() {
    const counted = this.done?.timing?.pace ?? this.run.timing?.pace;
    if (counted) return counted;
    const live = this.arrivals.filter((at) => at > CAME_AT_ONCE_MS);
    if (!live.length) return [];
    const seconds = new Array(Math.floor((live.at(-1) - live[0]) / 1000) + 1).fill(0);
    for (const at of live) seconds[Math.floor((at - live[0]) / 1000)] += 1;
    return this.done ? seconds : seconds.slice(0, -1); // the current second is not over
  }
}

function describeViewersByGateway({ viewers, gateways = {} }) {
  const each = Object.entries(gateways).map(([name, count]) => say("run.viewers_at", { count, gateway: name }));
  return each.length ? `${viewers} (${each.join(", ")})` : String(viewers ?? 0);
}

function eventRow([name, data, position]) {
  return make("li", { class: `event-${name}` }, make("span", { class: "position" }, position ?? ""), make("b", {}, name), make("code", {}, shorten(JSON.stringify(data))));
}

/** A chunk can be a megabyte. The completion link shows all of it. */
const shorten = (text) => (text.length > LONGEST_ROW ? text.slice(0, LONGEST_ROW) + say("run.shortened", { count: text.length }) : text);
