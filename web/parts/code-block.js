/**
 * A block of code with its buttons. A long block is folded. A diagram in Mermaid's language can be drawn.
 */

import { copyButton, iconButton, make } from "./element.js";
import { CodeHighlighter } from "./highlight.js";
import { loadMoreWords, say } from "./say.js";

const MOST_LINES = 40; // of a folded block; answer.css sets its height

/** Returns the block as `outer`, the element of its text as `inner`, and `block`, which is told what happens to the text. */
export function makeCodeBlock({ language }) {
  const inner = make("code");
  const label = make("span", { class: "language" });
  const wrap = toggle(iconButton("wrap", say("text.wrap")), () => outer.classList.toggle("wrapped"));
  const head = make("div", { class: "code-head" }, label, wrap, copyButton(say("text.copy_code"), () => inner.textContent));
  const outer = make("div", { class: "code", dir: "ltr" }, head, make("pre", { tabindex: "0" }, inner));
  if (language === "mermaid") wrap.before(diagramButton(outer, inner));
  const highlighter = new CodeHighlighter(inner, label);
  highlighter.setLanguage(language);
  const refresh = () => {
    if (!outer.classList.contains("long") && isLong(inner.textContent)) fold(outer);
    highlighter.refresh();
  };
  return { outer, inner, block: { refresh, finish: () => highlighter.finish(), clear: () => highlighter.clear() } };
}

/** `act` returns whether the button is now pressed. */
function toggle(button, act) {
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => button.setAttribute("aria-pressed", String(act())));
  return button;
}

function isLong(text) {
  let at = -1;
  for (let line = 0; line < MOST_LINES; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) return false;
  }
  return at < text.length - 1;
}

function fold(outer) {
  const button = make("button", { type: "button", class: "fold", "aria-expanded": "false" }, say("text.all_lines"));
  button.addEventListener("click", () => {
    const whole = outer.classList.toggle("whole");
    button.setAttribute("aria-expanded", String(whole));
    button.textContent = say(whole ? "text.fewer_lines" : "text.all_lines");
    if (!whole) outer.scrollIntoView({ block: "nearest" });
  });
  outer.classList.add("long");
  outer.append(button);
}

function diagramButton(outer, inner) {
  let drawing = null;
  return toggle(make("button", { type: "button", class: "text-button" }, say("text.diagram")), () => {
    if (drawing) {
      drawing.then((element) => element.remove());
      drawing = null;
      return false;
    }
    drawing = Promise.all([import("./diagram.js"), loadMoreWords()]).then(
      ([{ drawDiagram }]) => drawDiagram(inner.textContent),
      () => make("p", { class: "diagram", role: "status" }, say("server.unreachable")),
    );
    drawing.then((element) => outer.querySelector(".code-head").after(element));
    return true;
  });
}
