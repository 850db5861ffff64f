/**
 * Formulas in markdown, as rules for markdown-it: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` on lines of their own.
 * Amounts of money, variables of a shell and escaped brackets stay text. A formula contains no empty line.
 *
 * A token `math` has the formula as `content`, what the markdown contains as `markup`, and `meta.display`: whether it has lines
 * of its own.
 */

const DELIMITERS = [
  ["$$", "$$"],
  ["\\[", "\\]"],
];
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;
const MONEY = /^\d[\d.,]*[kKmMbB%]?\s+\p{L}{2,}/u; // `$5 or 10$`

/** Add the rules. */
export function addMath(markdown) {
  markdown.inline.ruler.before("escape", "math", readInline);
  markdown.block.ruler.before("fence", "math", readBlock);
}

function readInline(state, silent) {
  const text = state.src;
  const start = state.pos;
  const found = text[start] === "$" ? readDollars(text, start) : text[start] === "\\" ? readBrackets(text, start) : null;
  if (!found) return false;
  if (!silent) pushMath(state, found.formula, text.slice(start, found.end), found.display);
  state.pos = found.end;
  return true;
}

function pushMath(state, formula, markup, display) {
  return Object.assign(state.push("math", "", 0), { content: formula, markup, meta: { display } });
}

function readDollars(text, start) {
  if (text.startsWith("$$", start)) {
    const end = text.indexOf("$$", start + 2);
    const formula = text.slice(start + 2, end);
    return end > 0 && LETTER_OR_DIGIT.test(formula) && !formula.includes("`") ? { formula, end: end + 2, display: true } : null;
  }
  const end = findDollar(text, start + 1);
  const formula = text.slice(start + 1, end);
  // What precedes and follows is the rule of pandoc, and no letter may follow: `$HOME/$USER`.
  if (end < 0 || /^\s|\s$|`/.test(formula) || formula === "" || MONEY.test(formula)) return null;
  if (/[\p{L}\p{N}$]/u.test(text[start - 1] ?? "") || LETTER_OR_DIGIT.test(text[end + 1] ?? "")) return null;
  return { formula, end: end + 1, display: false };
}

/** The place of the next `$` that is not escaped, or -1. */
function findDollar(text, start) {
  let at = text.indexOf("$", start);
  while (at > 0 && text[at - 1] === "\\") at = text.indexOf("$", at + 1);
  return at;
}

function readBrackets(text, start) {
  const closing = { "(": "\\)", "[": "\\]" }[text[start + 1]];
  const end = closing ? text.indexOf(closing, start + 2) : -1;
  if (end < 0) return null;
  const formula = text.slice(start + 2, end);
  const display = closing === "\\]";
  const isAlone = /(^|\n)[ \t]*$/.test(text.slice(Math.max(0, start - 100), start)) && /^[ \t]*(\n|$)/.test(text.slice(end + 2, end + 100));
  if (!LETTER_OR_DIGIT.test(formula) || (display && !isAlone)) return null;
  return { formula, end: end + 2, display };
}

/**
 * A block that begins with a delimiter and ends with the other at the end of a line, so that its lines may look like lists or
 * headings. It interrupts no paragraph: there, `readInline` finds the formula. With `env.mayGrow`, the end may be missing.
 */
function readBlock(state, first, end, silent) {
  if (silent || state.sCount[first] - state.blkIndent >= 4) return false;
  const lineAt = (line) => state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]).trim();
  const delimiters = DELIMITERS.find(([opening]) => lineAt(first).startsWith(opening));
  if (!delimiters) return false;
  const [opening, closing] = delimiters;
  let line = first;
  let text = lineAt(first).slice(opening.length);
  const lines = [];
  while (!text.includes(closing)) {
    lines.push(text);
    line += 1;
    if (line >= end) break;
    if (state.isEmpty(line) || state.sCount[line] < state.blkIndent) return false;
    text = lineAt(line);
  }
  const isClosed = text.includes(closing);
  if (isClosed && text.indexOf(closing) !== text.length - closing.length) return false;
  if (isClosed) lines.push(text.slice(0, -closing.length));
  const formula = lines.join("\n");
  if (isClosed ? !LETTER_OR_DIGIT.test(formula) : !state.env.mayGrow) return false;
  state.line = isClosed ? line + 1 : line;
  pushMath(state, formula, `${opening}${formula}${closing}`, true).map = [first, state.line];
  return true;
}
