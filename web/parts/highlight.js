/**
 * Colours in code, without touching its text: ranges in the browser's highlight registry, which a reader's selection
 * survives. The one door to @speed-highlight/core. A browser without the registry, or a page without the package,
 * shows code in one colour.
 */

const REPAINT_MS = 200;
const LARGEST_REPAINTED = 20_000; // characters; beyond it a block is painted once, at its end
const ALIASES = {
  python: "py", py: "py", javascript: "js", js: "js", jsx: "js", mjs: "js", typescript: "ts", ts: "ts", tsx: "ts",
  bash: "bash", sh: "bash", shell: "bash", zsh: "bash", console: "bash", json: "json", jsonc: "json", yaml: "yaml",
  yml: "yaml", toml: "toml", ini: "ini", html: "html", xml: "xml", svg: "xml", css: "css", scss: "css", sql: "sql",
  go: "go", golang: "go", rust: "rs", rs: "rs", java: "java", kotlin: "java", c: "c", cpp: "c", "c++": "c", csharp: "c",
  cs: "c", lua: "lua", perl: "pl", make: "make", makefile: "make", dockerfile: "docker", docker: "docker", diff: "diff",
  patch: "diff", markdown: "md", md: "md", http: "http", csv: "csv", asm: "asm", regex: "regex",
};
// The package's kinds of token, in the few colours the page has for them.
const COLOURS = {
  cmnt: "comment", kwd: "keyword", oper: "plain", str: "string", num: "value", bool: "value", func: "name",
  class: "name", section: "name", type: "keyword", var: "value", esc: "value", insert: "string", deleted: "keyword",
  err: "keyword",
};

let tokenizer = null;

function loadTokenizer() {
  tokenizer ??= import("./vendor/speed-highlight/index.js").then((module) => module.tokenize, () => null);
  return tokenizer;
}

/** The registry's entry for a colour; style.css names it `::highlight(code-…)`. */
function highlightOf(colour) {
  const name = `code-${colour}`;
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
}

/** Keeps one growing code block in colour. */
export class CodePaint {
  constructor(code, label) {
    this.code = code;
    this.label = label;
    this.ranges = [];
    this.language = null;
    this.timer = null;
  }

  /** The language as the author of the text wrote it. */
  speak(word) {
    this.label.textContent = word;
    this.language = globalThis.CSS?.highlights ? (ALIASES[word.toLowerCase()] ?? null) : null;
  }

  /** Call after the text grew. */
  refresh() {
    if (!this.language || this.code.textContent.length > LARGEST_REPAINTED) return;
    this.timer ??= setTimeout(() => this.#paint(), REPAINT_MS);
  }

  /** Call when the block is complete. */
  finish() {
    clearTimeout(this.timer);
    if (this.language) this.#paint();
  }

  clear() {
    clearTimeout(this.timer);
    this.timer = null;
    for (const [highlight, range] of this.ranges) highlight.delete(range);
    this.ranges = [];
  }

  async #paint() {
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
