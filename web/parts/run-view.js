/**
 * One run in detail, for developers: its facts, pace, epochs and raw events, live.
 */

import { eventsUrl, watchUrl } from "./api.js";
import { drawChart } from "./chart.js";
import { make } from "./element.js";
import { watchShared } from "./shared.js";
import { describeClock, describeMilliseconds } from "./run-words.js";
import { describeAmount, describeNoEntry } from "./words.js";

const MOST_EVENTS = 1000; // rows; more rows make the page slow
const LONGEST_ROW = 4000; // characters
const CAME_AT_ONCE_MS = 250; // a late viewer first gets old events at once: they do not show the pace

export class RunView {
  constructor(run) {
    this.run = run;
    this.events = 0;
    this.chunks = 0;
    this.epochs = [];
    this.arrivals = [];
    this.begun = performance.now();
    this.facts = make("dl", { class: "facts" });
    this.pace = make("div", { class: "pace" });
    this.rows = make("ol", { class: "events", tabindex: "0", "aria-label": "Raw events" });
    this.element = make(
      "div",
      {},
      make("h2", {}, run.prompt || run.id),
      make("p", { class: "links small" }, make("a", { href: watchUrl(run.id) }, "Watch page"), make("a", { href: run.urls.status }, "Status"), make("a", { href: run.urls.completion }, "Completion")),
      this.facts,
      this.pace,
      make("h3", {}, "Raw events"),
      this.rows,
    );
    this.viewer = watchShared(eventsUrl(run.id), {
      event: (event) => this.#take(event),
      refused: ({ error }) => this.rows.before(make("p", { class: "small" }, describeNoEntry(error))),
    });
    this.show(run);
  }

  close() {
    this.viewer.close();
    cancelAnimationFrame(this.frame);
  }

  /** Update from the list of runs. */
  show(run) {
    this.run = run;
    this.#drawSoon();
  }

  #take({ name, data, position }) {
    if (name === "ping") return;
    if (name === "start") this.epochs.push(`${data.epoch}: began`);
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
    this.pace.replaceChildren(...(pace.length ? [make("h3", {}, "Chunks per second"), drawChart(pace, "Chunks per second")] : []));
  }

  #facts() {
    const { run } = this;
    const timing = this.done?.timing ?? run.timing ?? {};
    const usage = this.done?.usage ?? run.usage;
    const error = this.done?.error ?? run.error;
    return [
      ["Stream", make("code", {}, run.id)],
      ["Status", [run.status, run.finish_reason].filter(Boolean).join(", ")],
      ["Model", run.model || "the worker's default"],
      ["Asked", describeClock(run.created_at)],
      ["Waited for a worker", describeMilliseconds(timing.queued_ms)],
      ["First chunk after", describeMilliseconds(timing.first_chunk_ms)],
      ["Took", describeMilliseconds(timing.total_ms)],
      ["Chunks", describeAmount(this.chunks)],
      ["Tokens", usage ? `${usage.prompt_tokens} in, ${usage.completion_tokens} out` : "–"],
      ["Viewers", describeViewersByGateway(run)],
      ["Epochs", this.epochs.join(" · ") || String(run.epoch)],
      ...(error ? [["Error", `${error.code}: ${error.message}`]] : []),
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
  const each = Object.entries(gateways).map(([name, count]) => `${count} at ${name}`);
  return each.length ? `${viewers} (${each.join(", ")})` : String(viewers ?? 0);
}

function eventRow([name, data, position]) {
  return make("li", { class: `event-${name}` }, make("span", { class: "position" }, position ?? ""), make("b", {}, name), make("code", {}, shorten(JSON.stringify(data))));
}

/** A chunk can be a megabyte. The completion link shows all of it. */
const shorten = (text) => (text.length > LONGEST_ROW ? `${text.slice(0, LONGEST_ROW)}… (${text.length} characters)` : text);
