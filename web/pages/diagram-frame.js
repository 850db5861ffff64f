/**
 * Draws the diagram that the page around this frame sends, and answers through the port that comes with it: how high the drawing
 * is, or why there is none. A script and not a module: this frame has no origin, so its browser would not let it load modules.
 */

const LONGEST = 20_000; // characters
const SMALLEST = 0.75; // of a drawing's own size
const SCROLL_BAR = 16; // pixels

async function draw({ source, dark, lang, title }) {
  const mermaid = globalThis["mermaid"];
  if (!mermaid) throw new Error(); // the package is not installed
  document.title = title;
  document.documentElement.lang = lang;
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  mermaid.initialize({
    startOnLoad: false,
    securityLevel: "strict",
    suppressErrorRendering: true,
    theme: dark ? "dark" : "neutral",
    maxTextSize: LONGEST,
    htmlLabels: false,
    flowchart: { htmlLabels: false },
  });
  const { svg } = await mermaid.render("diagram", source);
  document.body.innerHTML = svg;
  const drawing = document.querySelector("svg");
  // A wide drawing shrinks to the width of the frame, but its words must stay readable: from there on it scrolls.
  const { width } = drawing.viewBox.baseVal;
  drawing.style.maxWidth = "none";
  drawing.style.width = `${Math.min(width, Math.max(innerWidth, SMALLEST * width))}px`;
  const bar = drawing.getBoundingClientRect().width > innerWidth ? SCROLL_BAR : 0;
  return Math.ceil(drawing.getBoundingClientRect().height) + bar;
}

addEventListener("message", ({ source: sender, data, ports: [port] }) => {
  if (sender !== parent) return;
  draw(data).then(
    (height) => port.postMessage({ height }),
    (error) => port.postMessage({ error: error.message }),
  );
});
