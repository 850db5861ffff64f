/**
 * Footnotes in markdown, as rules for markdown-it: `[^label]` refers to one, `[^label]: text` defines it where it stands. Lines
 * that are indented by four belong to it.
 *
 * Tokens: `footnote_reference_open` and `footnote_reference_close` around a definition, `footnote_ref`, each with `meta.label`.
 * `env.footnotes` has the defined labels as keys. A definition adds its own.
 */

const INDENT = 4; // columns
const LABEL = /\[\^([^\]\s]+)\]/y;
const DEFINITION = /\[\^([^\] ]+)\]:[ \t]*/y;

/** Add the rules. */
export function addFootnotes(markdown) {
  markdown.block.ruler.before("reference", "footnote", readDefinition, { alt: ["paragraph", "reference"] });
  markdown.inline.ruler.after("image", "footnote", readReference);
}

const matchAt = (pattern, text, start) => {
  pattern.lastIndex = start;
  return pattern.exec(text);
};

function readReference(state, silent) {
  const [all, label] = matchAt(LABEL, state.src.slice(0, state.posMax), state.pos) ?? [];
  if (!all || !state.env.footnotes?.[label]) return false;
  if (!silent) state.push("footnote_ref", "", 0).meta = { label };
  state.pos += all.length;
  return true;
}

function readDefinition(state, line, end, silent) {
  const { bMarks, tShift, sCount, eMarks } = state;
  const start = bMarks[line] + tShift[line];
  const [all, label] = matchAt(DEFINITION, state.src.slice(0, eMarks[line]), start) ?? [];
  if (!all) return false;
  if (silent) return true;
  if (state.env.footnotes) state.env.footnotes[label] = true;
  state.push("footnote_reference_open", "", 1).meta = { label };
  // The text after the colon is parsed as if it began a line of its own, indented by INDENT.
  const before = [bMarks[line], tShift[line], sCount[line], state.parentType];
  bMarks[line] = start + all.length;
  tShift[line] = 0;
  state.blkIndent += INDENT;
  sCount[line] = state.blkIndent;
  state.parentType = "footnote";
  state.md.block.tokenize(state, line, end, true);
  state.blkIndent -= INDENT;
  [bMarks[line], tShift[line], sCount[line], state.parentType] = before;
  state.push("footnote_reference_close", "", -1);
  return true;
}
