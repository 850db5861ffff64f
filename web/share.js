/**
 * The link to a stream, and its picture for phones. The one door to lean-qr.
 */

import { watchUrl } from "./api.js";
import { copyButton, find, make } from "./element.js";
import { icon } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 3; // modules of white that a reader needs around the code

/** Open the dialog for a stream. */
export async function share(id) {
  const url = watchUrl(id);
  const dialog = make("dialog", { class: "share", "aria-labelledby": "share-title" });
  const close = make("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const link = make("input", { readonly: true, value: url, "aria-label": "Link", onfocus: (event) => event.target.select() });
  dialog.append(
    make("header", {}, make("h2", { id: "share-title" }, "Watch this answer"), close),
    make("p", {}, "Everyone with this link sees the same answer, live or later, until it expires."),
    make("div", { class: "link" }, link, copyButton("Copy link", () => url)),
    make("div", { class: "qr" }),
    make("p", { class: "open" }, make("a", { href: url, target: "_blank" }, "Open the watch page"), sendButton(url)),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  link.focus();
  const picture = await drawCode(url);
  if (picture) find(".qr", dialog).append(picture);
}

/** Phones have a way of their own to send a link; null where there is none. */
function sendButton(url) {
  if (!navigator.share) return null;
  const send = () => navigator.share({ url }).catch(() => {}); // the reader thought better of it
  return make("button", { type: "button", onclick: send }, "Send the link…");
}

/** An svg of the QR code, or null where the package is not installed. */
async function drawCode(text) {
  const module = await import("/vendor/lean-qr.js").catch(() => null);
  if (!module) return null;
  const code = module.generate(text);
  let squares = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) squares += `M${x} ${y}h1v1h-1z`;
  }
  const svg = document.createElementNS(SVG, "svg");
  const size = code.size + 2 * MARGIN;
  svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the link");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  path.setAttribute("d", squares);
  return svg;
}
