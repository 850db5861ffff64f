/**
 * The steps of a script inside its answer: named, folded when they are done, with questions to people as forms. reply.js loads
 * it with the first step.
 */

import { answerInput, isPrivate, readAdmission } from "./api.js";
import { ChoiceView } from "./choice.js";
import { announce, make } from "./element.js";
import { icon } from "./icons.js";
import { loadMoreWords, say, sayCode, writeDate, writeNumber } from "./say.js";
import { inputForm, nameOf } from "./script-input.js";
import { ScriptSteps } from "./script-steps.js";
import { loadStyle } from "./style.js";

/**
 * Loads the words and the style sheet, and makes a view.
 *
 * @param {Element} place  gets the steps
 * @param {{id: string, ticket: () => string | null}} stream  `ticket()`: one that controls the stream, if we have it
 */
export async function openScriptView(place, stream) {
  await Promise.all([loadMoreWords(), loadStyle("script.css")]);
  return new ScriptView(place, stream);
}

class ScriptView {
  constructor(place, stream) {
    this.stream = stream;
    this.steps = new ScriptSteps();
    this.rows = new Map();
    this.over = false;
    this.list = make("ol", { class: "steps", "aria-label": say("script.steps") });
    place.append(this.list);
    this.mayWrite = null; // asked with the first question
  }

  clear() {
    this.steps.clear();
    this.rows.clear();
    this.list.replaceChildren();
  }

  take(event, data) {
    const node = this.steps.take(event, data);
    if (!node || node.kind === "emit") return;
    if (data.state === "restart") this.rows.get(node.id)?.choice?.clear();
    const row = this.rows.get(node.id) ?? this.#add(node);
    row.changed = true;
    if (event === "input" && !this.over) this.#tell(node);
    this.#drawSoon();
  }

  /** The run has ended, or had ended before its steps came. `hasAnswer`: its text is shown below. */
  end(hasAnswer) {
    this.over = true;
    this.hasAnswer = hasAnswer;
    for (const row of this.rows.values()) row.changed = true;
    this.#drawSoon();
  }

  #tell(node) {
    if (node.state === "asked") announce(node.told.problem || say("script.asks", { question: node.name }));
    if (node.state === "answered") announce(describeAnswer(node));
    if (node.state === "timed_out") announce(say("script.timed_out"));
  }

  #add(node) {
    const row = node.kind === "input" ? this.#questionRow(node) : stepRow(node);
    this.rows.set(node.id, row);
    const list = node.parent ? this.rows.get(node.parent.id).inner : this.list;
    const siblings = node.parent ? node.parent.children : this.steps.roots;
    const next = siblings.slice(siblings.indexOf(node) + 1).find((each) => this.rows.has(each.id));
    list.insertBefore(row.element, next ? this.rows.get(next.id).element : null);
    row.fold?.addEventListener("toggle", () => {
      row.changed = true; // what is folded is not drawn
      this.#drawSoon();
    });
    row.summary?.addEventListener("click", () => (row.chosen = !row.fold.open));
    return row;
  }

  #questionRow(node) {
    const words = make("p", { class: "question-words", dir: "auto" }, node.name);
    const note = make("p", { class: "small" });
    const body = make("div", {});
    const element = make("li", { class: "script-question" }, words, body, note);
    return { element, body, note, changed: true };
  }

  #drawSoon() {
    this.frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.frame = null;
    const open = this.#findOpen();
    let complete = true;
    for (const [id, row] of this.rows) {
      const node = this.steps.nodes.get(id);
      if (row.fold) row.fold.open = row.chosen ?? open.has(node);
      if (!row.changed) continue;
      row.changed = false;
      if (node.kind === "input") this.#drawQuestion(node, row);
      else if (!drawStep(node, row, this.over)) {
        row.changed = true;
        complete = false;
      }
    }
    if (!complete) this.#drawSoon();
  }

  /** The steps that are under way, or else the last one; and those that contain them. */
  #findOpen() {
    const open = new Set();
    const isUnderWay = (node) => node.state === "running" || node.state === "asked";
    let shown = this.over ? [] : [...this.steps.walk()].filter(isUnderWay);
    if (!shown.length && this.steps.last && !(this.over && this.hasAnswer)) shown = [this.steps.last];
    for (let node of shown) for (; node; node = node.parent) open.add(node);
    return open;
  }

  #drawQuestion(node, row) {
    row.element.classList.toggle("open", node.state === "asked" && !this.over);
    if (node.state !== "asked" || this.over) {
      row.form = null;
      row.body.replaceChildren(...(node.state === "answered" ? [make("p", { class: "given", dir: "auto" }, describeAnswer(node))] : []));
      row.note.textContent = node.state === "answered" ? "" : say(node.state === "timed_out" ? "script.timed_out" : "script.unanswered");
      return;
    }
    if (!row.form || node.told.problem) this.#ask(node, row);
  }

  #ask(node, row) {
    const { expires_at, problem } = node.told;
    const until = expires_at ? say("script.until", { time: writeDate(expires_at, { dateStyle: "medium", timeStyle: "short" }) }) : "";
    row.note.textContent = until;
    row.form = inputForm(node.told, async (value) => {
      await answerInput(this.stream.id, node.id, value, this.stream.ticket());
      // The answer is shown when its event comes, as to all others.
    });
    if (problem) row.form.prepend(make("p", { class: "problem", role: "alert" }, problem));
    row.body.replaceChildren(row.form);
    this.mayWrite ??= mayWrite(this.stream);
    this.mayWrite.then((may) => {
      if (!may && row.form) row.body.replaceChildren(make("p", { class: "small" }, say("script.read_only")));
    });
  }
}

/** Whether this browser may answer questions. The server checks it again. */
async function mayWrite({ id, ticket }) {
  if (ticket()) return true;
  const admission = await readAdmission();
  return Boolean(admission?.may_start && (!isPrivate(id) || admission.caller));
}

function stepRow(node) {
  const label = make("span", { class: "step-name", dir: "auto" }, node.name);
  const facts = make("span", { class: "step-facts" });
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  const state = make("span", { class: "unseen" });
  const inner = make("ol", { class: "steps" });
  const body = make("div", { class: "step-body" });
  const summary = make("summary", {}, mark, node.kind === "tool" ? icon("tool") : null, label, state, facts);
  const fold = make("details", { class: "step" }, summary, body, inner);
  const choice = node.kind === "generate" && !node.told.said ? new ChoiceView(0) : null;
  if (choice) body.append(choice.element);
  if (node.told.said) body.append(make("p", { class: "small" }, say("script.said")));
  return { element: make("li", {}, fold), fold, summary, body, inner, facts, state, choice, changed: true };
}

/** Returns whether all of it is shown. */
function drawStep(node, row, over) {
  const { told, answer } = node;
  const isOver = node.state !== "running" || over;
  const state = node.state === "running" && over ? "stopped" : node.state;
  row.fold.dataset.state = state;
  row.state.textContent = sayCode("script", state);
  row.facts.textContent = describeFacts(node);
  if (!row.fold.open) return true;
  if (node.kind === "tool") drawTool(told, row);
  if (told.error && !row.error) {
    row.error = make("p", { class: "problem" }, told.error.message);
    row.body.append(row.error);
  }
  const [choice] = answer.choices;
  return row.choice && choice ? row.choice.draw(choice, isOver) : true;
}

function drawTool({ arguments: words, result }, row) {
  row.words ??= row.body.appendChild(make("pre", { tabindex: "0" }));
  row.words.textContent = words ?? "";
  if (result === undefined) return;
  row.result ??= row.body.appendChild(make("pre", { tabindex: "0", class: "tool-result" }));
  row.result.textContent = result;
}

/** "gpt-4o · 1.2 s · 80 tokens" */
export function describeFacts({ told }) {
  const parts = [];
  if (told.model) parts.push(told.model);
  if (told.ms != null) parts.push(say("script.seconds", { seconds: writeNumber(told.ms / 1000, 1) }));
  if (told.usage?.completion_tokens != null) parts.push(say("script.tokens", { count: told.usage.completion_tokens }));
  return parts.join(" · ");
}

/** Who has answered a question, and what. */
export function describeAnswer({ told: { value, by } }) {
  const words = nameOf(value);
  return by ? say("script.answer_by", { name: by.replace(/^\w+:/, ""), value: words }) : say("script.answer", { value: words });
}
