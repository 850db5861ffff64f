/**
 * Draws one choice of an answer while it grows: reasoning (folded), text, refusal, tool calls. It only adds new text.
 */

import { make } from "./element.js";
import { icon } from "./icons.js";
import { growingText } from "./markdown.js";

// A complete answer must not block the page: each frame spends only a few milliseconds on adding text.
const PIECE = 2000; // characters; more, if the text parses a long unfinished block again for each piece
const FRAME_MS = 8;
// In a very long answer, the layout of a frame costs more than adding text, so fewer and longer frames finish earlier.
const HUGE = 100_000; // characters
const HUGE_FRAME_MS = 80;
const REST = 3; // after a piece that took far longer than a frame has, the page gets this many times as long for other things

export class ChoiceView {
  constructor(index) {
    this.written = 0; // characters of the content
    this.ended = false;
    this.restsUntil = 0;
    this.body = make("div", { class: "text" });
    this.text = growingText(this.body);
    this.reasoning = null;
    this.refusal = null;
    this.calls = [];
    this.element = make("section", { class: "choice", "aria-label": `Choice ${index + 1}` }, this.body);
  }

  /** Show the current text of `choice`. Returns whether all of it is shown; if not, call this again in the next frame. */
  draw(choice, over) {
    if (choice.reasoning) this.#drawReasoning(choice, over);
    if (choice.refusal) this.#drawRefusal(choice.refusal);
    choice.tool_calls.forEach((call, index) => call && this.#drawCall(call, index, over || choice.finish_reason !== null));
    const complete = this.#write(choice.content, over);
    if (complete && over && !this.ended) this.text.end();
    this.ended = complete && over;
    return complete;
  }

  #write(content, over) {
    const begun = performance.now();
    if (begun < this.restsUntil) return false;
    const limit = content.length - this.written > HUGE ? HUGE_FRAME_MS : FRAME_MS;
    let piece = this.#nextPiece(content, over);
    while (piece && performance.now() - begun < limit) {
      this.text.write(piece);
      this.written += piece.length;
      piece = this.#nextPiece(content, over);
    }
    const ended = performance.now();
    if (ended - begun > 2 * limit) this.restsUntil = ended + REST * (ended - begun);
    return piece === "";
  }

  /** The next piece of `text`. It never splits a surrogate pair. */
  #nextPiece(text, over) {
    const start = this.written;
    let end = Math.min(text.length, start + Math.max(PIECE, this.text.unfinished));
    const last = text.charCodeAt(end - 1);
    if (end > start && last >= 0xd800 && last < 0xdc00 && !(over && end === text.length)) end -= 1;
    return text.slice(start, end);
  }

  clear() {
    this.text.clear();
    this.written = 0;
    this.ended = false;
    for (const extra of [this.reasoning?.fold, this.refusal, ...this.calls.map((call) => call.fold)]) extra?.remove();
    this.reasoning = this.refusal = null;
    this.calls = [];
  }

  #drawReasoning(choice, over) {
    if (!this.reasoning) {
      const words = make("div", { class: "plain" });
      const summary = make("summary");
      const fold = make("details", { class: "reasoning" }, summary, words);
      this.reasoning = { fold, summary, words };
      this.element.prepend(fold);
    }
    const thinking = !choice.content && !over;
    this.reasoning.summary.textContent = thinking ? "Thinking…" : "Thoughts";
    this.reasoning.fold.classList.toggle("thinking", thinking);
    this.reasoning.words.textContent = choice.reasoning;
  }

  #drawRefusal(words) {
    this.refusal ??= this.element.appendChild(make("blockquote", { class: "refusal" }));
    this.refusal.textContent = words;
  }

  #drawCall(call, index, complete) {
    const shown = (this.calls[index] ??= this.#beginCall());
    shown.name.textContent = call.function.name || "…";
    shown.words.textContent = complete ? tidyJson(call.function.arguments) : call.function.arguments;
    shown.fold.classList.toggle("forming", !complete);
  }

  #beginCall() {
    const name = make("code");
    const words = make("code");
    const fold = make("details", { class: "tool", open: true }, make("summary", {}, icon("tool"), "Calls ", name));
    fold.append(make("pre", { tabindex: "0" }, words));
    this.element.append(fold);
    return { fold, name, words };
  }
}

function tidyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
