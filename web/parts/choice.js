/**
 * Draws one choice of an answer while it grows: reasoning, texts, the tool calls between them, refusal. It only adds new text.
 */

import { make } from "./element.js";
import { icon } from "./icons.js";
import { growingText } from "./markdown.js";
import { say } from "./say.js";
import { loadStyle } from "./style.js";
import { describeChoiceEnd } from "./words.js";

// A complete answer must not block the page: each frame spends only a few milliseconds on adding text.
const PIECE = 2000; // characters; more, if the text parses a long unfinished block again for each piece
const FRAME_MS = 8;
// In a very long answer, layout costs more than adding text, so fewer and longer frames finish earlier.
const HUGE = 100_000; // characters
const HUGE_FRAME_MS = 80;
const REST = 3; // after a slow piece, the page gets this many times as long for other things
// eslint-disable-next-line house/sentences -- a selector
const BLOCKS = "p, h2, h3, h4, h5, h6, ul, ol, li, blockquote, .code, pre, pre > code, .table, table, thead, tbody, tr, th, td, .footnote, .footnote > div";

export class ChoiceView {
  constructor(index) {
    this.restsUntil = 0;
    this.ended = false;
    this.lengths = new Map(); // of the growing texts, by element, to see which one grows
    this.index = index;
    this.element = make("section", { class: "choice" });
    this.#begin();
  }

  /** @param {number} count  of the choices of this answer */
  label(count) {
    this.element.setAttribute("aria-label", say("answer.choice", { number: this.index + 1, count }));
  }

  #begin() {
    this.written = 0; // characters of the content
    this.ended = false;
    this.segments = []; // of the content: a text ends where a tool call begins
    this.reasoning = this.refusal = this.end = null;
    this.calls = new Map();
    this.lengths.clear();
    this.#addSegment();
  }

  clear() {
    this.segments.forEach(({ text }) => text.clear());
    this.element.replaceChildren();
    this.#begin();
  }

  /** Show the current text of `choice`. Returns whether all of it is shown; if not, call this again in the next frame. */
  draw(choice, over) {
    if (choice.reasoning) this.#drawReasoning(choice, over);
    for (const call of callsOf(choice)) this.#drawCall(call, choice, over || choice.finish_reason !== null);
    const complete = this.#write(choice.content, over);
    if (choice.refusal) this.#drawRefusal(choice.refusal);
    if (complete && over && !this.ended) {
      this.segments.at(-1).text.end();
      this.#drawEnd(choice);
    }
    this.ended = complete && over;
    return complete;
  }

  #addSegment() {
    const body = make("div", { class: "text" });
    this.element.append(body);
    this.segments.push({ body, text: growingText(body), end: Infinity });
  }

  /** The text before a tool call is complete, and a new one follows. */
  #endSegment(at) {
    const { end } = this.segments.at(-1);
    if (end < at) this.#addSegment(); // between two calls
    this.segments.at(-1).end = at;
  }

  #write(content, over) {
    const begun = performance.now();
    if (begun < this.restsUntil) return false;
    const limit = content.length - this.written > HUGE ? HUGE_FRAME_MS : FRAME_MS;
    let piece = this.#nextPiece(content, over);
    while (piece && performance.now() - begun < limit) {
      const { text, body, end } = this.segments[this.writing];
      text.write(piece);
      this.written += piece.length;
      if (this.written === end) text.end();
      this.#placeCaret(body, this.written);
      piece = this.#nextPiece(content, over);
    }
    const ended = performance.now();
    if (ended - begun > 2 * limit) this.restsUntil = ended + REST * (ended - begun);
    return piece === "";
  }

  /** The next piece of `text`, for the segment at `writing`. It never splits a surrogate pair. */
  #nextPiece(text, over) {
    const start = this.written;
    this.writing = this.segments.findIndex(({ end }) => start < end);
    if (this.writing < 0) {
      if (start === text.length) return "";
      this.writing = this.segments.length;
      this.#addSegment();
    }
    const segment = this.segments[this.writing];
    const limit = Math.min(text.length, segment.end);
    let end = Math.min(limit, start + Math.max(PIECE, segment.text.unfinished));
    const last = text.charCodeAt(end - 1);
    if (end > start && last >= 0xd800 && last < 0xdc00 && !(end === limit && (over || end === segment.end))) end -= 1;
    return text.slice(start, end);
  }

  /** Marks where text grows: the last block in `element`, which now has `length` characters. */
  #placeCaret(element, length) {
    if (this.lengths.get(element) === length) return;
    this.lengths.set(element, length);
    let place = element;
    while (place.lastElementChild?.matches(BLOCKS)) place = place.lastElementChild;
    if (place === this.caret) return;
    this.caret?.removeAttribute("data-caret");
    place.setAttribute("data-caret", "");
    this.caret = place;
  }

  #drawReasoning(choice, over) {
    if (!this.reasoning) {
      loadStyle("tools.css");
      const words = make("div", { class: "plain" });
      const summary = make("summary");
      const fold = make("details", { class: "reasoning" }, summary, words);
      this.reasoning = { fold, summary, words };
      this.element.prepend(fold);
    }
    const thinking = !choice.content && !over;
    this.reasoning.summary.textContent = say(thinking ? "answer.thinking" : "answer.thoughts");
    this.reasoning.fold.classList.toggle("thinking", thinking);
    if (this.lengths.get(this.reasoning.words) === choice.reasoning.length) return;
    this.reasoning.words.textContent = choice.reasoning;
    this.#placeCaret(this.reasoning.words, choice.reasoning.length);
  }

  #drawRefusal(words) {
    if (!this.refusal) {
      loadStyle("tools.css");
      this.refusal = make("p", {});
      this.element.append(make("div", { class: "refusal" }, make("strong", {}, say("end.declined")), this.refusal));
    }
    this.refusal.textContent = words;
    this.#placeCaret(this.refusal, words.length);
  }

  #drawCall(call, choice, complete) {
    const shown = this.calls.get(call) ?? this.#beginCall(call, choice);
    const { name, arguments: words, output = "" } = call.function ?? call;
    shown.name.textContent = name || "…";
    shown.words.textContent = complete ? tidyJson(words) : words;
    shown.fold.classList.toggle("forming", !complete && !output);
    this.#placeCaret(shown.words, words.length);
    if (!output || shown.output === output) return;
    shown.output = output;
    shown.result ??= shown.fold.appendChild(make("div", { class: "result" }, make("p", {}, say("answer.result")), make("pre", { tabindex: "0" }, make("code")))).querySelector("code");
    shown.result.textContent = tidyJson(output);
  }

  #beginCall(call, { content }) {
    this.#endSegment(call.at ?? content.length); // answers that were stored by an earlier version have no `at`
    loadStyle("tools.css");
    const name = make("code");
    const words = make("code");
    const fold = make("details", { class: "tool", open: true }, make("summary", {}, icon("tool"), `${say("answer.call")} `, name));
    fold.append(make("pre", { tabindex: "0" }, words));
    this.element.append(fold);
    const shown = { fold, name, words, result: null, output: "" };
    this.calls.set(call, shown);
    return shown;
  }

  #drawEnd(choice) {
    const words = describeChoiceEnd(choice);
    if (!words || !choice.finish_reason || this.end) return;
    this.end = make("p", { class: "choice-end" }, words);
    this.element.append(this.end);
  }
}

/** All calls of a choice, in the order of their places in the text. */
function callsOf({ tool_calls = [], executed_tools = [] }) {
  if (!tool_calls.length && !executed_tools.length) return [];
  return [...tool_calls, ...executed_tools].filter(Boolean).sort((one, other) => (one.order ?? 0) - (other.order ?? 0));
}

function tidyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
