/**
 * Draws the trees of markdown-tree.js, and changes only what differs from the tree before, so that a selection survives while
 * an answer grows. No HTML parser: this module makes every element and attribute, from the table below.
 *
 * A view is `{node, outer, inner, views}`: what is drawn, its element, the element that holds its children, and their views.
 */

import { makeCodeBlock } from "./code-block.js";
import { make } from "./element.js";
import { showFormula } from "./math.js";
import { say } from "./say.js";

const SAFE_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
const FIELDS = ["kind", "href", "title", "source", "language", "start", "checked", "align", "label", "formula", "markup"];

const same = (tag) => () => element(tag);

/** For text whose language nobody knows: Arabic and Hebrew run from right to left. */
const directed = (tag) => () => element(tag, { dir: "auto" });

const element = (tag, properties) => {
  const made = make(tag, properties);
  return { outer: made, inner: made };
};

// Each kind of node, and how its element is made.
const KINDS = {
  p: directed("p"),
  // The page has its own h1, so the headings of an answer start at h2.
  h1: directed("h2"),
  h2: directed("h3"),
  h3: directed("h4"),
  h4: directed("h5"),
  h5: directed("h6"),
  h6: directed("h6"),
  blockquote: same("blockquote"),
  ul: directed("ul"),
  ol: ({ start }) => element("ol", { dir: "auto", start: start === 1 ? null : start }),
  li: same("li"),
  thead: same("thead"),
  tbody: same("tbody"),
  tr: same("tr"),
  th: ({ align }) => element("th", { dir: "auto", class: align }),
  td: ({ align }) => element("td", { dir: "auto", class: align }),
  hr: same("hr"),
  br: same("br"),
  em: same("em"),
  strong: same("strong"),
  s: same("s"),
  code: same("code"),
  a: ({ href, title }) => element("a", { ...linkTo(href), title }),
  image: makeImage,
  task: ({ checked }) => element("input", { type: "checkbox", disabled: true, checked, "aria-label": say("text.task") }),
  table: makeTable,
  code_block: makeCodeBlock,
  math: (node) => makeFormula(node, make("span", { class: "math" }), false),
  math_line: (node) => makeFormula(node, make("span", { class: "math display", tabindex: "0" }), true),
  math_block: (node) => makeFormula(node, make("div", { class: "math display", tabindex: "0" }), true),
  footnote: makeFootnote,
  footnote_mark: makeFootnoteMark,
};

function makeTable() {
  const inner = make("table");
  return { outer: make("div", { class: "table", tabindex: "0", role: "region", "aria-label": say("text.table") }, inner), inner };
}

/** A link, because loading an image would reveal the reader to its host. */
function makeImage({ source, title }) {
  const link = source === null ? {} : linkTo(source);
  if (!link.href) return element("span", { class: "image", title });
  const inner = make("a", { ...link, "data-kind": say("text.picture") });
  import("./picture.js").then(({ offerPicture }) => offerPicture(inner), () => {}); // without it, there is the link
  return { outer: make("span", { class: "image", title }, inner), inner };
}

function makeFormula({ formula, markup }, outer, display) {
  outer.dir = "ltr";
  outer.append(markup);
  showFormula(outer, formula, display);
  return { outer, inner: make("span") }; // no children
}

function makeFootnote({ label }) {
  const inner = make("div");
  const outer = make("div", { class: "footnote", role: "note", tabindex: "-1", "data-label": label }, make("sup", {}, label), inner);
  return { outer, inner };
}

function makeFootnoteMark({ label }) {
  const find = () => [...button.closest(".text").querySelectorAll(".footnote")].find((note) => note.dataset.label === label);
  const button = make("button", { type: "button", class: "footnote-mark", "aria-label": say("text.footnote", { label }) }, label);
  button.addEventListener("click", () => find()?.focus());
  const outer = make("sup", {}, button);
  return { outer, inner: make("span") };
}

/** The attributes of a link, if the address is absolute and of a known scheme. Anything else stays text without a link. */
function linkTo(address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !SAFE_PROTOCOLS.has(url.protocol)) return {};
  return { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" };
}

/** Make `views`, which are children of `parent`, show `nodes`. */
export function draw(parent, views, nodes) {
  const after = views.at(-1)?.outer.nextSibling ?? null;
  nodes.forEach((node, index) => {
    const view = views[index];
    if (!view) {
      views.push(build(node));
      parent.insertBefore(views[index].outer, after);
    } else if (!update(view, node)) {
      forget(view);
      views[index] = build(node);
      view.outer.replaceWith(views[index].outer);
    }
  });
  for (const view of views.splice(nodes.length)) {
    forget(view);
    view.outer.remove();
  }
}

function build(node) {
  if (typeof node === "string") return { node, outer: document.createTextNode(node), views: [] };
  const view = { node, views: [], ...KINDS[node.kind](node) };
  draw(view.inner, view.views, node.children);
  view.block?.refresh();
  return view;
}

/** Returns whether the element of `view` can show `node`; if so, it does. */
function update(view, node) {
  const shown = view.node;
  if (shown === node) return true;
  if (typeof node === "string" || typeof shown === "string") {
    if (typeof node !== typeof shown) return false;
    if (node.startsWith(shown)) view.outer.appendData(node.slice(shown.length));
    else view.outer.data = node;
  } else {
    if (FIELDS.some((field) => shown[field] !== node[field])) return false;
    if (shown.children !== node.children) draw(view.inner, view.views, node.children);
    view.block?.refresh();
  }
  view.node = node;
  return true;
}

/** The nodes of `views` are complete. */
export function finish(views) {
  for (const view of views) {
    view.block?.finish();
    finish(view.views);
  }
}

/** Call this before the elements of a view are removed. */
export function forget(view) {
  view.block?.clear();
  view.views.forEach(forget);
}
