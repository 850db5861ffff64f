/**
 * The dialog with the link to a stream and its QR code. The only module that imports lean-qr.
 */

import { isPrivate, readAdmission, watchUrl } from "./api.js";
import { copyButton, find, make } from "./element.js";
import { icon } from "./icons.js";
import { say, sayAround } from "./say.js";
import { describeTime } from "./share-words.js";
import { loadStyle } from "./style.js";
import { mintTicket } from "./ticket-api.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 3; // modules; scanners need this white margin around the code
const USUAL_PORT = "8000"; // of `make run`
const DENSE = 50; // modules; a link with a ticket needs more, so the code is drawn larger

/**
 * Open the dialog for a stream.
 *
 * @param {object} stream  `id`; for a private stream also `ticket()`, which returns the ticket that controls it, and
 *   `revoke()`, which revokes all tickets
 */
export async function share(stream) {
  await loadStyle("dialog.css");
  const dialog = make("dialog", { class: "share", "aria-labelledby": "share-title" });
  const close = make("button", { type: "button", class: "quiet", "aria-label": say("dialog.close"), onclick: () => dialog.close() }, icon("close"));
  const words = make("p", { role: "status" });
  const body = make("div");
  dialog.append(make("header", {}, make("h2", { id: "share-title" }, say("share.title")), close), words, body);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  if (isPrivate(stream.id)) return offerTicket(stream, words, body);
  words.textContent = say("share.public");
  return offerLink(watchUrl(stream.id), body);
}

async function offerTicket(stream, words, body) {
  words.textContent = say("share.making");
  body.replaceChildren();
  try {
    const { urls, expires_at } = await mintTicket(stream.id, stream.ticket());
    words.textContent = say("share.private", { time: describeTime(expires_at) });
    const button = make("button", { type: "button", onclick: () => takeBack(stream, words, body) }, say("share.revoke"));
    const note = make("p", { class: "small" }, say("share.revoke_note"));
    await offerLink(new URL(urls.page, location.href).href, body, make("div", { class: "revoke" }, button, note));
  } catch (error) {
    words.textContent = say("share.failed", { message: error.message });
  }
}

async function takeBack(stream, words, body) {
  try {
    await stream.revoke();
    words.textContent = say("share.revoked");
  } catch (error) {
    words.textContent = say("share.not_revoked", { message: error.message });
    return;
  }
  const again = make("button", { type: "button", onclick: () => offerTicket(stream, words, body) }, say("share.again"));
  body.replaceChildren(make("p", { class: "open" }, again));
  again.focus();
}

async function offerLink(here, body, below = null) {
  const { url, warning } = isLoopback(new URL(here).hostname) ? await findNearby(here) : { url: here, warning: null };
  const link = make("input", { readonly: true, value: url, "aria-label": say("share.link"), onfocus: (event) => event.target.select() });
  body.replaceChildren(
    make("div", { class: "link" }, link, copyButton(say("share.copy"), () => url)),
    warning ?? make("div", { class: "qr" }),
    make("p", { class: "open" }, make("a", { href: url, target: "_blank" }, say("share.open")), sendButton(url) ?? ""),
    below ?? "",
  );
  link.focus();
  const picture = !warning && (await drawCode(url));
  if (picture) find(".qr", body)?.append(picture);
}

const isLoopback = (host) => /^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(host);

/** The link for other devices: with the server's other address, if it has one, or else with a warning. */
async function findNearby(here) {
  const nearby = (await readAdmission())?.share_url;
  if (nearby) {
    const { pathname, hash } = new URL(here);
    return { url: new URL(pathname.split("/").pop() + hash, nearby).href, warning: null };
  }
  // eslint-disable-next-line house/sentences -- a command
  const command = make("code", {}, `make run HOST=0.0.0.0${ofPort()}`);
  return { url: here, warning: make("p", { class: "note" }, ...sayAround("share.loopback", { command })) };
}

/** What the command must name for the same port as now. */
const ofPort = () => (location.port && location.port !== USUAL_PORT ? ` PORT=${location.port}` : "");

/** A button for the device's share menu, or null if there is none. */
function sendButton(url) {
  if (!navigator.share) return null;
  const send = () => navigator.share({ url }).catch(() => {}); // the reader closed the menu
  return make("button", { type: "button", onclick: send }, say("share.send"));
}

/** An SVG of the QR code, or null if the package is not installed. */
async function drawCode(text) {
  const module = await import(new URL("./vendor/lean-qr.js", import.meta.url).href).catch(() => null);
  if (!module) return null;
  const code = module.generate(text);
  let squares = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) squares += `M${x} ${y}h1v1h-1z`;
  }
  const svg = document.createElementNS(SVG, "svg");
  const size = code.size + 2 * MARGIN;
  svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${size} ${size}`);
  svg.classList.toggle("dense", code.size > DENSE);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", say("share.code"));
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  path.setAttribute("d", squares);
  return svg;
}
