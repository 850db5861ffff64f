/**
 * Shows streamed text as markdown, or as plain text if the renderer is not installed. The only module that imports
 * streaming-markdown.
 *
 * It only adds to existing text, so that a reader can select and copy while the answer grows. The renderer accepts no
 * HTML, and only this module creates elements and attributes, from the tables below.
 */

import { copyButton, make } from "./element.js";
import { CodeHighlighter } from "./highlight.js";

const SAFE_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

let renderer = null;
let tags = null;

/** Load the renderer. Returns whether it is installed. */
export async function loadMarkdown() {
  renderer ??= await import(new URL("./vendor/streaming-markdown.js", import.meta.url).href).catch(() => null);
  if (renderer) tags = nameTags(renderer);
  return renderer !== null;
}

/** A text that grows inside `element`: call `write(text)` for new text, `end()` once, `clear()` to start again. */
export function growingText(element) {
  return renderer ? new MarkdownText(element) : new PlainText(element);
}

class PlainText {
  constructor(element) {
    this.element = element;
    element.classList.add("plain");
  }
  write(text) {
    appendText(this.element, text);
  }
  end() {}
  clear() {
    this.element.replaceChildren();
  }
}

class MarkdownText {
  constructor(element) {
    this.element = element;
    this.clear();
  }

  write(text) {
    renderer.parser_write(this.parser, text);
    for (const highlighter of this.highlighters) highlighter.refresh();
  }

  end() {
    renderer.parser_end(this.parser);
    for (const highlighter of this.highlighters) highlighter.finish();
    this.highlighters.clear();
  }

  clear() {
    for (const highlighter of this.highlighters ?? []) highlighter.clear();
    this.highlighters = new Set();
    this.element.replaceChildren();
    this.nodes = [this.element];
    this.parser = renderer.parser({
      data: this,
      add_token: (text, token) => text.#begin(token),
      end_token: (text) => text.#finish(),
      add_text: (text, words) => appendText(text.nodes.at(-1), words),
      set_attr: (text, attribute, value) => text.#describe(attribute, value),
    });
  }

  #begin(token) {
    const [tag, build = append] = tags.get(token) ?? [];
    if (tag) this.nodes.push(build(this.nodes.at(-1), tag, this));
  }

  #finish() {
    if (this.nodes.length === 1) return; // the document itself
    const highlighter = this.nodes.pop().highlighter;
    if (highlighter) {
      highlighter.finish();
      this.highlighters.delete(highlighter);
    }
  }

  #describe(attribute, value) {
    const node = this.nodes.at(-1);
    switch (attribute) {
      case renderer.HREF:
      case renderer.SRC:
        return linkSafely(node, value);
      case renderer.LANG:
        return node.highlighter?.setLanguage(value);
      case renderer.START:
        return node.setAttribute("start", Number.parseInt(value, 10) || 1);
      case renderer.CHECKED:
        node.checked = true;
    }
  }
}

function nameTags(names) {
  return new Map([
    [names.PARAGRAPH, ["p"]],
    // The page has its own h1, so the headings of an answer start at h2.
    [names.HEADING_1, ["h2"]],
    [names.HEADING_2, ["h3"]],
    [names.HEADING_3, ["h4"]],
    [names.HEADING_4, ["h5"]],
    [names.HEADING_5, ["h6"]],
    [names.HEADING_6, ["h6"]],
    [names.BLOCKQUOTE, ["blockquote"]],
    [names.LINE_BREAK, ["br"]],
    [names.RULE, ["hr"]],
    [names.ITALIC_AST, ["em"]],
    [names.ITALIC_UND, ["em"]],
    [names.STRONG_AST, ["strong"]],
    [names.STRONG_UND, ["strong"]],
    [names.STRIKE, ["s"]],
    [names.CODE_INLINE, ["code"]],
    [names.LINK, ["a"]],
    [names.RAW_URL, ["a"]],
    [names.IMAGE, ["a", appendImageLink]], // a link, because loading an image would reveal the reader to its host
    [names.LIST_UNORDERED, ["ul"]],
    [names.LIST_ORDERED, ["ol"]],
    [names.LIST_ITEM, ["li"]],
    [names.CHECKBOX, ["input", appendCheckbox]],
    [names.CODE_BLOCK, ["pre", appendCodeBlock]],
    [names.CODE_FENCE, ["pre", appendCodeBlock]],
    [names.TABLE, ["table", appendTable]],
    [names.TABLE_ROW, ["tr", appendRow]],
    [names.TABLE_CELL, ["td", appendCell]],
    [names.EQUATION_BLOCK, ["code"]],
    [names.EQUATION_INLINE, ["code"]],
  ]);
}

const append = (parent, tag) => parent.appendChild(make(tag));

const appendImageLink = (parent, tag) => parent.appendChild(make(tag, { class: "image" }));

const appendCheckbox = (parent, tag) =>
  parent.appendChild(make(tag, { type: "checkbox", disabled: true, "aria-label": "Task" }));

function appendCodeBlock(parent, _tag, text) {
  const code = make("code");
  const language = make("span", { class: "language" });
  const head = make("div", { class: "code-head" }, language, copyButton("Copy code", () => code.textContent));
  const scroller = make("pre", { tabindex: "0" }, code);
  parent.append(make("div", { class: "code" }, head, scroller));
  code.highlighter = new CodeHighlighter(code, language);
  text.highlighters.add(code.highlighter);
  return code;
}

function appendTable(parent, tag) {
  const table = make(tag);
  parent.append(make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }, table));
  return table;
}

function appendRow(table, tag) {
  const part = table.tHead ? (table.tBodies[0] ?? table.createTBody()) : table.createTHead();
  return part.appendChild(make(tag));
}

const appendCell = (row, tag) => row.appendChild(make(row.parentElement.tagName === "THEAD" ? "th" : tag));

/** Links only absolute URLs of known schemes. Anything else stays text without a link. */
function linkSafely(anchor, address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !SAFE_PROTOCOLS.has(url.protocol)) return;
  anchor.href = url.href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
}

/** Keeps one text node per run of text, even if it arrived in many chunks. */
function appendText(node, words) {
  if (node.lastChild?.nodeType === Node.TEXT_NODE) node.lastChild.appendData(words);
  else node.append(words);
}
