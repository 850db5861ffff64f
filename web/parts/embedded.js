/**
 * The watch page inside a frame of another site: it takes its colours from the page around it, and tells that page its height.
 * manycast-answer.js is the other side. Loaded only in a frame.
 */

import { find, make } from "./element.js";
import { say } from "./say.js";

// What the page around may set, and by which name style.css knows it.
const NAMES = { paper: "--paper", ink: "--ink", quiet: "--quiet", accent: "--accent", line: "--line", sunk: "--sunk", font: "--font" };

const tell = (words) => parent.postMessage({ manycast: words.kind, ...words }, "*");

export function embed() {
  const root = document.documentElement;
  root.classList.add("embedded");
  find("footer").append(make("a", { class: "small", href: location.href, target: "_blank", rel: "noopener" }, say("watch.own_window")));
  addEventListener("message", ({ source, data }) => {
    if (source !== parent || data?.manycast !== "style") return;
    for (const [name, value] of Object.entries(data.variables)) dress(root, name, String(value));
  });
  const tellHeight = () => tell({ kind: "height", height: Math.ceil(document.body.getBoundingClientRect().height) });
  new ResizeObserver(tellHeight).observe(document.body);
  // reply.js sets it at the end.
  const tellStatus = () => tell({ kind: "status", status: find("[data-status]")?.dataset.status ?? "running" });
  new MutationObserver(tellStatus).observe(find("#turns"), { subtree: true, childList: true, attributeFilter: ["data-status"] });
  tellStatus();
  const tellTitle = () => tell({ kind: "title", title: document.title });
  new MutationObserver(tellTitle).observe(find("title"), { childList: true });
  tellTitle();
  tell({ kind: "ready" });
}

function dress(root, name, value) {
  if (name === "scheme" && (value === "light" || value === "dark")) root.dataset.theme = value;
  if (name === "font-size") root.style.fontSize = value;
  if (NAMES[name] && value) root.style.setProperty(NAMES[name], value);
}
