/**
 * Colours code without changing its DOM: it registers ranges in the browser's highlight registry, so that a selection stays
 * intact. The only module that imports @speed-highlight/core. Without the registry or the package, code has one colour.
 */

const HIGHLIGHT_MS = 200;
const LARGEST_HIGHLIGHTED_LIVE = 20_000; // characters; a larger block is coloured once, at its end
const ALIASES = {
  python: "py", py: "py", javascript: "js", js: "js", jsx: "js", mjs: "js", typescript: "ts", ts: "ts", tsx: "ts",
  bash: "bash", sh: "bash", shell: "bash", zsh: "bash", console: "bash", json: "json", jsonc: "json", yaml: "yaml",
  yml: "yaml", toml: "toml", ini: "ini", html: "html", xml: "xml", svg: "xml", css: "css", scss: "css", sql: "sql",
  go: "go", golang: "go", rust: "rs", rs: "rs", java: "java", kotlin: "java", c: "c", cpp: "c", "c++": "c", csharp: "c",
  cs: "c", lua: "lua", perl: "pl", make: "make", makefile: "make", dockerfile: "docker", docker: "docker", diff: "diff",
  patch: "diff", markdown: "md", md: "md", http: "http", csv: "csv", asm: "asm", regex: "regex",
};
// Maps the package's token types to the colours of the page.
const COLOURS = {
  cmnt: "comment", kwd: "keyword", oper: "plain", str: "string", num: "value", bool: "value", func: "name",
  class: "name", section: "name", type: "keyword", var: "value", esc: "value", insert: "string", deleted: "keyword",
  err: "keyword",
};

let tokenizer = null;

function loadTokenizer() {
  tokenizer ??= import(new URL("./vendor/speed-highlight/index.js", import.meta.url).href).then((module) => module.tokenize, () => null);
  return tokenizer;
}

/** The registry's entry for a colour; style.css names it `::highlight(code-…)`. */
function highlightOf(colour) {
  const name = `code-${colour}`;
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
}

/** Colours one growing code block. */
export class CodeHighlighter {
  constructor(code, label) {
    this.code = code;
    this.label = label;
    this.ranges = [];
    this.language = null;
    this.timer = null;
  }

  /** `word`: the language as written in the answer. */
  setLanguage(word) {
    this.label.textContent = word;
    this.language = globalThis.CSS?.highlights ? (ALIASES[word.toLowerCase()] ?? null) : null;
  }

  /** Call this after the text has grown. */
  refresh() {
    if (!this.language || this.code.textContent.length > LARGEST_HIGHLIGHTED_LIVE) return;
    this.timer ??= setTimeout(() => this.#highlight(), HIGHLIGHT_MS);
  }

  /** Call this when the block is complete. */
  finish() {
    clearTimeout(this.timer);
    if (this.language) this.#highlight();
  }

  clear() {
    clearTimeout(this.timer);
    this.timer = null;
    for (const [highlight, range] of this.ranges) highlight.delete(range);
    this.ranges = [];
  }

  async #highlight() {
    const tokenize = await loadTokenizer();
    const text = this.code.firstChild;
    const tokens = [];
    if (tokenize && text) await tokenize(text.data, this.language, (words, kind) => tokens.push([words.length, COLOURS[kind]]));
    this.clear();
    let start = 0;
    for (const [length, colour] of tokens) {
      if (colour && colour !== "plain") this.#mark(text, start, start + length, colour);
      start += length;
    }
  }

  #mark(text, startOffset, endOffset, colour) {
    const range = new StaticRange({ startContainer: text, startOffset, endContainer: text, endOffset });
    const highlight = highlightOf(colour);
    highlight.add(range);
    this.ranges.push([highlight, range]);
  }
}
