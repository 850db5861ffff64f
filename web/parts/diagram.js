/**
 * Shows a diagram in Mermaid's language. Loaded with the first diagram that a reader asks for.
 *
 * What draws it is large, and puts the text of an answer through an HTML parser. So it runs in a frame without an origin, from
 * which nothing can be loaded or sent (docs/decisions/0020-a-diagram-is-drawn-in-a-frame-without-an-origin.md).
 */

import { make } from "./element.js";

const TALLEST = 2000; // pixels

/** @param {string} source  the text of the diagram */
export function drawDiagram(source) {
  const address = new URL("./diagram", import.meta.url).href;
  const frame = make("iframe", { sandbox: "allow-scripts", src: address, title: "Diagram" });
  const words = make("p", { class: "small", role: "status" }, "Drawing…");
  const figure = make("div", { class: "diagram" }, words, frame);
  const listen = ({ source: sender, data }) => {
    if (sender !== frame.contentWindow) return; // also after the frame was removed
    if (data.ready) frame.contentWindow.postMessage({ source, dark: isDark() }, "*");
    if (data.height) {
      frame.style.height = `${Math.min(TALLEST, Number(data.height))}px`;
      words.textContent = "";
    }
    if (data.error) {
      words.textContent = `This diagram cannot be drawn: ${String(data.error).slice(0, 300)}`;
      frame.remove();
    }
  };
  addEventListener("message", listen);
  return figure;
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
