/**
 * Parses markdown into trees: CommonMark, with GFM's tables, strikethrough, task lists, footnotes and bare addresses, and
 * formulas. HTML is text. No DOM. The only module that imports markdown-it.
 *
 * A node is a string or `{kind, children, …}`. markdown-draw.js lists the kinds and their fields.
 */

import { addFootnotes } from "./markdown-footnotes.js";
import { addMath } from "./markdown-math.js";

// What is nested deeper is text: thousands of nested elements crash a browser's tab.
const DEEPEST_BLOCK = 40; // a list counts twice, for itself and its item
const DEEPEST_INLINE = 20;

// Marks the label of a footnote, so that it differs from that of a link: no text contains this character.
const FOOTNOTE = "\0";

let parser = null;

/** Load the parser. Returns whether it is installed. */
export async function loadParser() {
  // This build sets a global name. The ES module is a quarter larger.
  parser ??= await import(new URL("./vendor/markdown-it.js", import.meta.url).href).then(
    () => setUp(globalThis["markdownit"]),
    () => null,
  );
  return parser !== null;
}

function setUp(MarkdownIt) {
  const markdown = new MarkdownIt({ linkify: true });
  // A bare address needs a scheme or `www.`: `file.py` is a file, and not a host in Paraguay.
  markdown.linkify.set({ fuzzyLink: false });
  markdown.linkify.add("//", null);
  markdown.linkify.add("www.", { validate: measureAddress, normalize: (match) => (match.url = `http://${match.url}`) });
  markdown.validateLink = () => true; // markdown-draw.js decides which addresses become links
  markdown.use(addFootnotes);
  markdown.use(addMath);
  markdown.block.ruler.before("table", "too_deep", takeAsParagraph);
  markdown.core.ruler.disable(["normalize", "block"]); // `parse` does these steps itself
  return markdown;
}

/** The length of an address after its `www.`. */
function measureAddress(text, start, linkify) {
  const assumed = "http://www.";
  return Math.max(0, linkify.testSchemaAt(assumed + text.slice(start, start + 2000), "http:", 5) - 6);
}

/** A block rule for the deepest level: all that is nested there becomes one paragraph. */
function takeAsParagraph(state, first, end, silent) {
  if (silent || state.level < DEEPEST_BLOCK) return false;
  const isInside = (line) => state.isEmpty(line) || state.sCount[line] < 0 || state.sCount[line] >= state.blkIndent;
  let line = first + 1;
  while (line < end && isInside(line)) line += 1;
  state.line = line;
  state.push("paragraph_open", "p", 1).map = [first, line];
  const inline = state.push("inline", "", 0);
  inline.content = state.getLines(first, line, state.blkIndent, false).trim();
  inline.children = [];
  state.push("paragraph_close", "p", -1);
  return true;
}

/** What a text defines: addresses of links and footnotes, by label. The first definition of a label counts. */
export class Definitions {
  /** @param {Definitions | null} base  its labels are defined too */
  constructor(base = null) {
    this.links = Object.create(base?.links ?? null);
    this.footnotes = Object.create(base?.footnotes ?? null);
  }

  /** The definition of a label as text, or undefined. `FOOTNOTE` precedes the label of a footnote. */
  describe(label) {
    const definition = label.startsWith(FOOTNOTE) ? this.footnotes[label.slice(1)] : this.links[label];
    return definition && JSON.stringify(definition);
  }
}

/**
 * Parse a text, and add what it defines to `definitions`. Returns `{blocks, missing}`: the trees, and the labels that the
 * text refers to but nothing defines, as a set.
 *
 * @param {Map} cache  keeps the paragraphs for the next parse, when the text has grown
 */
export function parse(text, definitions, cache = new Map()) {
  const lookups = new Lookups(definitions);
  const tokens = [];
  parser.block.parse(text, parser, lookups.env, tokens);
  const missing = new Set();
  const used = new Map();
  for (const token of tokens) {
    if (token.type !== "inline") continue;
    let known = used.get(token.content) ?? cache.get(token.content);
    if (!known || !lookups.hold(known.found)) known = parseInline(token, lookups);
    used.set(token.content, known);
    token.children = known.children;
    for (const [label, value] of known.found) if (value === undefined) missing.add(label);
  }
  cache.clear();
  for (const [content, known] of used) cache.set(content, known);
  return { blocks: plantBlocks(tokens), missing };
}

function parseInline(token, lookups) {
  const state = new parser.core.State("", parser, lookups.env);
  state.tokens = [token];
  lookups.found = new Map();
  parser.core.process(state);
  return { children: plantInline(token.children), found: lookups.found };
}

/** Gives a text's definitions to the parser, and notes which labels it looks up: `found` maps each to its value. */
class Lookups {
  constructor(definitions) {
    this.found = new Map();
    this.definitions = definitions;
    this.env = { references: this.#watch(definitions.links, ""), footnotes: this.#watch(definitions.footnotes, FOOTNOTE) };
  }

  #watch(defined, prefix) {
    return new Proxy(defined, {
      get: (_, label) => {
        const name = prefix + String(label);
        this.found.set(name, this.definitions.describe(name));
        return defined[label];
      },
      set: (_, label, value) => {
        if (!(label in defined)) defined[label] = value;
        return true;
      },
    });
  }

  /** Whether all labels still have these values. */
  hold(found) {
    return [...found].every(([label, value]) => value === this.definitions.describe(label));
  }
}

/**
 * How much of a text is finished: the offset of a block before which no further text can change anything but the links.
 *
 * @param {string} text  complete lines
 */
export function measureFinished(text) {
  const tokens = [];
  parser.block.parse(text, parser, { mayGrow: true }, tokens);
  const lines = text.split("\n");
  let finished = 0;
  let end = 0;
  for (const [start, after] of outermost(tokens)) {
    // The line after a definition may still become its title.
    if (start > 0 && (start === end || /^[ \t]*$/.test(lines[start - 1]))) finished = start;
    end = after;
  }
  return lines.slice(0, finished).reduce((length, line) => length + line.length + 1, 0);
}

/** The first line of each outermost block that is drawn, and the line after it. */
function outermost(tokens) {
  const places = [];
  let open = null;
  for (const { type, level, nesting, map } of tokens) {
    if (type === "reference_definition") continue;
    if (level === 0 && nesting >= 0) places.push((open = [Infinity, 0]));
    // A footnote has no place of its own, only its contents have.
    if (map) [open[0], open[1]] = [Math.min(open[0], map[0]), Math.max(open[1], map[1])];
  }
  return places.filter(([start]) => start < Infinity);
}

const BLOCKS = {
  paragraph_open: () => ({ kind: "p" }),
  heading_open: ({ tag }) => ({ kind: tag }),
  blockquote_open: () => ({ kind: "blockquote" }),
  bullet_list_open: () => ({ kind: "ul" }),
  ordered_list_open: (token) => ({ kind: "ol", start: Number(token.attrGet("start") ?? 1) }),
  list_item_open: () => ({ kind: "li" }),
  table_open: () => ({ kind: "table" }),
  thead_open: () => ({ kind: "thead" }),
  tbody_open: () => ({ kind: "tbody" }),
  tr_open: () => ({ kind: "tr" }),
  th_open: (token) => ({ kind: "th", align: readAlign(token) }),
  td_open: (token) => ({ kind: "td", align: readAlign(token) }),
  footnote_reference_open: ({ meta }) => ({ kind: "footnote", label: meta.label }),
  hr: () => ({ kind: "hr" }),
  math: (token) => ({ kind: "math_block", formula: token.content, markup: token.markup }),
  code_block: ({ content }) => ({ kind: "code_block", language: "", children: [content.replace(/\n$/, "")] }),
  fence: ({ content, info }) => ({
    kind: "code_block",
    language: parser.utils.unescapeAll(info).trim().split(/\s/)[0],
    children: [content.replace(/\n$/, "")],
  }),
};

const readAlign = (token) => token.attrGet("style")?.replace("text-align:", "") ?? null;

function plantBlocks(tokens) {
  const open = [{ kind: "text", children: [] }];
  for (const token of tokens) {
    const parent = open.at(-1);
    if (token.hidden) continue; // the paragraphs of a tight list
    if (token.type === "inline") plantText(parent, token.children);
    else if (token.nesting < 0) open.pop();
    else {
      const node = { children: [], ...BLOCKS[token.type](token) };
      parent.children.push(node);
      if (token.nesting > 0) open.push(node);
    }
    if (token.type === "inline") markTask(open);
  }
  return open[0].children;
}

function plantText(parent, children) {
  // An item of a tight list also holds blocks. All others share the array of the last parse, if nothing has changed:
  // markdown-draw.js then compares nothing.
  if (parent.kind === "li") parent.children.push(...children);
  else parent.children = children;
}

/** Makes the `[x]` at the start of a list item a check box. */
function markTask(open) {
  const [item, paragraph] = open.at(-1).kind === "p" ? open.slice(-2) : [open.at(-1), null];
  const holder = paragraph ?? item;
  const [first, ...rest] = holder.children;
  const isFirst = item.kind === "li" && (paragraph === null || item.children[0] === paragraph);
  if (!isFirst || typeof first !== "string" || !/^\[[ xX]\]\s/.test(first)) return;
  holder.children = [{ kind: "task", checked: first[1] !== " ", children: [] }, first.slice(4), ...rest];
}

const INLINE = {
  em_open: () => ({ kind: "em" }),
  strong_open: () => ({ kind: "strong" }),
  s_open: () => ({ kind: "s" }),
  link_open: (token) => ({ kind: "a", href: token.attrGet("href"), title: token.attrGet("title") }),
  code_inline: ({ content }) => ({ kind: "code", children: [content] }),
  hardbreak: () => ({ kind: "br" }),
  math: ({ content, markup, meta }) => ({ kind: meta.display ? "math_line" : "math", formula: content, markup }),
  footnote_ref: ({ meta }) => ({ kind: "footnote_mark", label: meta.label }),
  image: (token) => ({
    kind: "image",
    source: token.attrGet("src"),
    title: token.attrGet("title"),
    children: [parser.renderer.renderInlineAsText(token.children, parser.options, {})].filter(Boolean),
  }),
};

function plantInline(tokens) {
  const root = { kind: "text", children: [] };
  const open = [root];
  let tooDeep = 0;
  for (const token of tokens) {
    const { children } = open.at(-1);
    if (token.type in INLINE && !(token.nesting > 0 && (tooDeep > 0 || open.length > DEEPEST_INLINE))) {
      const node = { children: [], ...INLINE[token.type](token) };
      // A link cannot contain the link to a picture.
      if (node.kind === "image" && open.some(({ kind }) => kind === "a")) node.source = null;
      children.push(node);
      if (token.nesting > 0) open.push(node);
    } else if (token.nesting < 0 && tooDeep === 0) open.pop();
    else {
      tooDeep += token.nesting;
      addText(children, token.nesting === 0 ? textOf(token) : token.type.startsWith("link") ? "" : token.markup);
    }
  }
  return root.children;
}

const textOf = (token) => (token.type === "softbreak" ? "\n" : token.content);

/** Keeps neighbouring texts in one string. */
function addText(children, text) {
  if (text === "") return;
  if (typeof children.at(-1) === "string") children.push(children.pop() + text);
  else children.push(text);
}
