/**
 * The steps of a script's run, for developers: prompts, outputs as they grow, times, tokens and questions; beside those of another
 * run, if there is one. run-view.js loads it for runs of scripts.
 */

import { answerInput, call, eventsUrl, streamUrl } from "./api.js";
import { randomId } from "./conversations.js";
import { announce, make } from "./element.js";
import { say, sayCode } from "./say.js";
import { inputForm } from "./script-input.js";
import { comparePlaces, resultOf, ScriptSteps } from "./script-steps.js";
import { describeAnswer, describeFacts } from "./script-view.js";
import { watchShared } from "./shared.js";
import { loadStyle } from "./style.js";

/** What the steps of a script have asked: `{kept, again, prompts}`. */
const readPrompts = (id) => call("GET", `${streamUrl(id)}/prompts`);

/** Run a script again from one of its steps. Returns the same as `startStream`. */
const runAgain = (id, body, key) => call("POST", `${streamUrl(id)}/again`, body, { "idempotency-key": key });

const PROMPTS_AFTER_MS = 250; // several steps may begin at once
const LONGEST = 20_000; // characters of one text

/** One run: its steps, and what they have asked. `changed(id)` is called for each step that is to be drawn. */
class Column {
  constructor(id, changed) {
    this.id = id;
    this.changed = changed;
    this.steps = new ScriptSteps();
    this.prompts = {};
    this.kept = false;
    this.origin = null;
    this.over = false;
    this.#readPromptsSoon();
  }

  take({ name, data }) {
    if (name === "gap" || (name === "restart" && data.reason === "script_changed")) return this.#clear();
    if (name === "restart") this.steps.voidAnswer();
    if (name === "done") this.over = true;
    if (name === "restart" || name === "done") return this.#drawAll();
    const node = name === "chunk" ? this.steps.takeChunk(data) : this.steps.take(name, data);
    if (!node) return;
    if (node.kind === "generate" && data.state === "begin") this.#readPromptsSoon();
    this.changed(node.id);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  #clear() {
    const gone = [...this.steps.nodes.keys()];
    this.steps.clear();
    for (const id of gone) this.changed(id);
  }

  #drawAll() {
    for (const id of this.steps.nodes.keys()) this.changed(id);
    this.changed(null);
  }

  #readPromptsSoon() {
    this.timer ??= setTimeout(async () => {
      const told = await readPrompts(this.id).catch(() => null);
      this.timer = null;
      if (!told || this.closed) return;
      this.prompts = told.prompts;
      this.kept = told.kept;
      this.origin = told.again;
      this.#drawAll();
    }, PROMPTS_AFTER_MS);
  }
}

export class ScriptRun {
  /**
   * @param {string} id  of the run, whose events the caller passes to `take`
   * @param {string | null} other  the id of a run to compare it with
   */
  constructor(id, other) {
    this.rows = new Map();
    this.columns = [id, other].filter(Boolean).map((each, index) => new Column(each, (step) => this.#change(index, step)));
    this.origin = make("p", { class: "small", hidden: true });
    this.compare = make("select", { "aria-label": say("script.compare") });
    this.compare.addEventListener("change", () => (location.hash = [id, this.compare.value].filter(Boolean).join(",")));
    this.heads = make("div", { class: "script-row heads" }, ...this.columns.map((column) => make("a", { class: "small", href: `#${column.id}` }, column.id)));
    this.heads.hidden = this.columns.length < 2;
    this.list = make("div", { class: "script-rows", role: "list", "aria-label": say("script.steps") });
    this.element = make("section", { class: "script-run" }, make("div", { class: "script-bar" }, make("h3", {}, say("script.steps")), this.compare), this.origin, this.heads, this.list);
    this.element.style.setProperty("--columns", String(this.columns.length));
    if (other) this.viewer = watchShared(eventsUrl(other), { event: (event) => this.columns[1].take(event) });
    loadStyle("script.css");
  }

  take(event) {
    this.columns[0].take(event);
  }

  /** @param {{id: string, prompt: string, model: string}[]} runs  of the same script */
  offer(runs) {
    const [first, second] = this.columns;
    const chosen = second?.id ?? "";
    const others = runs.filter(({ id }) => id !== first.id);
    const ids = others.map(({ id }) => id).join();
    if (this.offered === ids || this.compare.matches(":focus")) return;
    this.offered = ids;
    const options = others.map(({ id, prompt }) => make("option", { value: id }, `${prompt || id} (${id.slice(2, 8)})`));
    if (chosen && !others.some(({ id }) => id === chosen)) options.push(make("option", { value: chosen }, chosen));
    this.compare.replaceChildren(make("option", { value: "" }, say("script.compare")), ...options);
    this.compare.value = chosen;
    this.compare.hidden = options.length === 0;
  }

  close() {
    this.viewer?.close();
    cancelAnimationFrame(this.frame);
    this.columns.forEach((column) => column.close());
  }

  #change(index, id) {
    if (id !== null) (this.rows.get(id) ?? this.#add(id)).changed.add(index);
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #add(id) {
    const cells = this.columns.map(() => make("div", { class: "script-cell" }));
    const element = make("div", { class: "script-row", role: "listitem" }, ...cells);
    const row = { id, element, cells: cells.map((cell) => ({ element: cell })), changed: new Set() };
    const next = [...this.rows.values()].filter((each) => comparePlaces(id, each.id) < 0).sort((a, b) => comparePlaces(a.id, b.id))[0];
    this.list.insertBefore(element, next?.element ?? null);
    this.rows.set(id, row);
    return row;
  }

  #draw() {
    this.frame = null;
    this.#drawOrigin();
    for (const row of this.rows.values()) {
      for (const index of row.changed) this.#drawCell(row.cells[index], this.columns[index], row.id);
      if (!row.changed.size) continue;
      row.changed.clear();
      const nodes = this.columns.map((column) => column.steps.nodes.get(row.id));
      if (!nodes.some(Boolean)) {
        row.element.remove();
        this.rows.delete(row.id);
        continue;
      }
      row.element.style.setProperty("--depth", String(depthOf(nodes.find(Boolean))));
      const [one, other] = this.columns.map((column, index) => textsOf(column, nodes[index]));
      row.element.classList.toggle("differs", this.columns.length > 1 && this.columns.every(({ over }) => over) && one !== other);
    }
  }

  #drawOrigin() {
    const { origin } = this.columns[0];
    this.origin.hidden = !origin;
    if (!origin || this.origin.childElementCount) return;
    const link = make("a", { href: `#${this.columns[0].id},${origin.run}` }, say("script.compare_origin"));
    const isShown = this.columns[1]?.id === origin.run;
    this.origin.replaceChildren(say("script.origin", { run: origin.run, step: origin.step }), " ", isShown ? "" : link);
  }

  #drawCell(cell, column, id) {
    const node = column.steps.nodes.get(id);
    if (cell.node !== node) {
      // The run has begun again, or has been read again.
      for (const name of Object.keys(cell)) if (name !== "element") delete cell[name];
      cell.element.replaceChildren();
      cell.node = node;
    }
    if (!node) return;
    if (!cell.head) this.#fillCell(cell, column, node);
    const state = node.state === "running" && column.over ? "stopped" : node.state;
    cell.element.dataset.state = state;
    cell.facts.textContent = [state && node.kind !== "emit" ? sayCode("script", state) : "", describeFacts(node)].filter(Boolean).join(" · ");
    drawPrompt(cell, column.prompts[id]);
    cell.again.hidden = Boolean(cell.repeating) || !column.kept || !canRepeat(node);
    if (node.kind === "input") return this.#drawQuestion(cell, column, node);
    const text = node.kind === "emit" ? JSON.stringify(node.told.data) : resultOf(node);
    setText(cell.output, text);
    cell.output.hidden = text === "";
    setText(cell.problem, node.told.error ? `${node.told.error.code}: ${node.told.error.message}` : "");
    cell.problem.hidden = !node.told.error;
  }

  #fillCell(cell, column, node) {
    cell.facts = make("span", { class: "step-facts" });
    const kind = make("span", { class: "kind" }, sayCode("script", `kind_${node.kind}`));
    cell.head = make("p", { class: "cell-head" }, make("span", { class: "mark", "aria-hidden": "true" }), make("b", { dir: "auto" }, node.name), kind, make("code", {}, node.id), cell.facts);
    cell.prompt = make("div", { class: "prompts" });
    if (node.kind === "tool") cell.prompt.append(make("pre", { tabindex: "0" }, node.told.arguments ?? ""));
    cell.output = make("pre", { class: "output", tabindex: "0", dir: "auto", "aria-label": say("script.output") });
    cell.problem = make("p", { class: "problem", hidden: true });
    cell.again = make("button", { type: "button", class: "text-button", hidden: true, onclick: () => this.#openAgain(cell, column, node) }, say("script.again"));
    cell.element.append(cell.head, cell.prompt, cell.output, cell.problem, cell.again);
  }

  #drawQuestion(cell, column, node) {
    const waits = node.state === "asked" && !column.over;
    setText(cell.output, node.state === "answered" ? describeAnswer(node) : "");
    cell.output.hidden = node.state !== "answered";
    if (waits && (!cell.form || node.told.problem)) {
      cell.form?.remove();
      cell.form = inputForm(node.told, async (value) => void (await answerInput(column.id, node.id, value, null)));
      if (node.told.problem) cell.form.prepend(make("p", { class: "problem", role: "alert" }, node.told.problem));
      cell.output.before(cell.form);
    }
    if (!waits) {
      cell.form?.remove();
      cell.form = null;
    }
  }

  /** The form with which the script runs again from a step. */
  #openAgain(cell, column, node) {
    cell.repeating = true;
    cell.again.hidden = true;
    const close = () => {
      form.remove();
      cell.repeating = false;
      cell.again.hidden = false;
      cell.again.focus();
    };
    const start = async (change) => {
      const run = await runAgain(column.id, { step: node.id, ...change }, randomId());
      announce(say("script.started"));
      location.hash = `${run.id},${column.id}`;
    };
    const form = node.kind === "input" ? inputForm(node.told, (value) => start({ value })) : promptForm(column.prompts[node.id], start);
    form.append(make("button", { type: "button", class: "text-button", onclick: close }, say("script.close")));
    form.classList.add("again");
    cell.element.append(form);
    form.querySelector("textarea, input, button")?.focus();
  }
}

function promptForm(prompt, start) {
  const last = prompt?.messages.at(-1);
  const text = typeof last?.content === "string" && !prompt.cut ? last.content : "";
  const field = make("textarea", { rows: "3", "aria-label": say("script.prompt") });
  field.value = text;
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const button = make("button", { class: "primary" }, say("script.run"));
  const form = make("form", { class: "answering" }, field, problem, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await start(field.value === text ? {} : { prompt: field.value }).catch((error) => {
      problem.textContent = error.message;
      problem.hidden = false;
    });
    button.disabled = false;
  });
  return form;
}

function drawPrompt(cell, prompt) {
  if (!prompt || cell.prompted === prompt.messages.length + prompt.omitted) return;
  cell.prompted = prompt.messages.length + prompt.omitted;
  const earlier = prompt.messages.slice(0, -1);
  const count = earlier.length + prompt.omitted;
  const shown = earlier.map(messageOf);
  if (prompt.omitted) shown.unshift(make("p", { class: "small" }, say("script.omitted", { count: prompt.omitted })));
  const fold = count ? make("details", {}, make("summary", {}, say("script.earlier", { count })), ...shown) : null;
  cell.prompt.replaceChildren(...[fold, ...prompt.messages.slice(-1).map(messageOf)].filter(Boolean));
}

function messageOf({ role, content, tool_calls }) {
  const text = typeof content === "string" ? content : JSON.stringify(content ?? tool_calls ?? null);
  return make("div", { class: "message" }, make("span", { class: "small" }, role), make("div", { class: "plain", dir: "auto" }, shorten(text)));
}

function setText(element, text) {
  const short = shorten(text);
  if (element.textContent !== short) element.textContent = short;
}

const shorten = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

const canRepeat = ({ kind, state }) => kind === "generate" || (kind === "input" && state !== "asked");

/** What of a step may differ between two runs: what it says last to its model, and what it has brought. */
function textsOf({ prompts }, node) {
  if (!node) return null;
  const { value, data } = node.told;
  return JSON.stringify([prompts[node.id]?.messages.at(-1)?.content, value, node.kind === "emit" ? data : resultOf(node)]);
}

function depthOf(node) {
  let depth = 0;
  for (let each = node?.parent; each; each = each.parent) depth += 1;
  return depth;
}
