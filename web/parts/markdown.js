/**
 * Shows streamed text as markdown, or as plain text if the parser is not installed.
 *
 * Only the last block of a text can change when text is added. It is parsed again each time, and markdown-draw.js changes what
 * differs. Finished blocks are neither parsed nor drawn again, with one exception: a link or footnote whose definition comes
 * later. The result does not depend on the pieces in which the text comes.
 */

import { draw, finish, forget } from "./markdown-draw.js";
import { Definitions, loadParser, measureFinished, parse } from "./markdown-tree.js";

let installed = false;

/** Load the parser. Returns whether it is installed. */
export async function loadMarkdown() {
  installed = await loadParser();
  return installed;
}

/**
 * A text that grows inside `element`: call `write(text)` for new text, `end()` once, `clear()` to start again. `unfinished` is
 * the length of the text that each `write` parses again.
 */
export function growingText(element) {
  return installed ? new MarkdownText(element) : new PlainText(element);
}

class PlainText {
  constructor(element) {
    this.element = element;
    this.unfinished = 0;
    element.classList.add("plain");
  }
  write(text) {
    // Keeps one text node, even if the text comes in many pieces.
    if (this.element.firstChild) this.element.firstChild.appendData(text);
    else this.element.append(text);
  }
  end() {}
  clear() {
    this.element.replaceChildren();
  }
}

class MarkdownText {
  constructor(element) {
    this.element = element;
    this.views = [];
    this.clear();
  }

  get unfinished() {
    return this.tail.length;
  }

  write(text) {
    const last = this.heldBack + text;
    // A line may end in \r\n, and the \n come later.
    this.heldBack = last.endsWith("\r") ? "\r" : "";
    this.#add(last.slice(0, last.length - this.heldBack.length));
    this.#draw();
  }

  end() {
    this.#add(this.heldBack);
    this.heldBack = "";
    this.#settle(this.tail.length);
  }

  clear() {
    this.views.forEach(forget);
    for (const { views } of this.waiting ?? []) views.forEach(forget);
    this.element.replaceChildren();
    this.views = []; // of the blocks in the tail
    this.tail = ""; // the text that is not finished
    this.heldBack = "";
    this.definitions = new Definitions(); // of the finished text
    this.waiting = []; // finished parts that refer to labels without a definition: {text, views, missing}
    this.cache = new Map();
  }

  #add(text) {
    this.tail += text.replace(/\r\n?/g, "\n").replace(/\0/g, "\ufffd");
    if (text.includes("\n") || text.includes("\r")) {
      this.#settle(measureFinished(this.tail.slice(0, this.tail.lastIndexOf("\n") + 1)));
    }
  }

  /** Draw the first `length` characters of the tail for the last time. */
  #settle(length) {
    if (length === 0) return;
    const text = this.tail.slice(0, length);
    const { blocks, missing } = parse(text, this.definitions, this.cache);
    const views = this.views.splice(0, blocks.length);
    draw(this.element, views, blocks);
    finish(views);
    this.tail = this.tail.slice(length);
    this.waiting = this.waiting.filter((part) => this.#complete(part));
    if (missing.size > 0) this.waiting.push({ text, views, missing });
  }

  /** Draw a finished part again, if a label that it lacked is now defined. Returns whether it still lacks one. */
  #complete(part) {
    if (![...part.missing].some((label) => this.definitions.describe(label) !== undefined)) return true;
    const { blocks, missing } = parse(part.text, this.definitions);
    draw(this.element, part.views, blocks);
    part.missing = missing;
    return missing.size > 0;
  }

  #draw() {
    const { blocks } = parse(this.tail, new Definitions(this.definitions), this.cache);
    draw(this.element, this.views, blocks);
  }
}
