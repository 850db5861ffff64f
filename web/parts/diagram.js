/**
 * Shows a diagram in Mermaid's language. Loaded with the first diagram that a reader asks for.
 *
 * What draws it is large, and puts the text of an answer through an HTML parser. So it runs in a frame without an origin, from
 * which nothing can be loaded or sent (docs/decisions/0020-a-diagram-is-drawn-in-a-frame-without-an-origin.md).
 */

import { make } from "./element.js";
import { say } from "./say.js";

const TALLEST = 2000; // pixels
const LONGEST_ERROR = 300; // characters

/** @param {string} source  the text of the diagram */
export function drawDiagram(source) {
  const address = new URL("./diagram", import.meta.url).href;
  const frame = make("iframe", { sandbox: "allow-scripts", src: address, title: say("text.diagram") });
  const words = make("p", { class: "small", role: "status" }, say("diagram.drawing"));
  const figure = make("div", { class: "diagram" }, words, frame);
  frame.addEventListener("load", () => {
    const { port1, port2 } = new MessageChannel(); // ours lives as long as this frame
    port1.onmessage = ({ data: { height, error } }) => {
      words.textContent = error === undefined ? "" : describe(String(error).slice(0, LONGEST_ERROR));
      if (error === undefined) frame.style.height = `${Math.min(TALLEST, Number(height))}px`;
      else frame.remove();
    };
    const { lang } = document.documentElement;
    frame.contentWindow.postMessage({ source, dark: isDark(), lang, title: frame.title }, "*", [port2]);
  });
  return figure;
}

/** @param {string} message  of what draws; "" if it is not installed */
const describe = (message) => (message ? say("diagram.failed", { message }) : say("diagram.missing"));

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
