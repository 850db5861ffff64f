/**
 * Offers to show a picture of an answer, if the page may load it. Loaded with the first picture. Before the reader asks for it,
 * its host learns nothing.
 */

import { make } from "./element.js";
import { loadMoreWords, say } from "./say.js";

let policy = null;

/** The sources of images in the policy that came with the page. The operator sets them: MANYCAST_IMAGE_HOSTS. */
function readSources() {
  policy ??= fetch(location.pathname, { method: "HEAD" })
    .then(({ headers }) => /(?:^|;)\s*img-src ([^;,]*)/.exec(headers.get("content-security-policy") ?? "")?.[1] ?? "")
    .then((text) => text.split(/\s+/), () => []);
  return policy;
}

/** Whether a source of a policy covers the address: `https:`, `https://host`, `https://*.host`, each perhaps with a port. */
export function covers(source, { protocol, hostname, port }) {
  if (source === "https:") return protocol === "https:";
  const [, scheme, wild, host, wanted] = /^(https?:)\/\/(\*\.)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(source) ?? [];
  if (scheme !== protocol || (wanted ?? "") !== port) return false;
  return wild ? hostname.endsWith(`.${host}`) : hostname === host;
}

/** Put a button behind `link`, the link to the picture. */
export async function offerPicture(link) {
  const url = new URL(link.href);
  if (!(await readSources()).some((source) => covers(source, url))) return;
  await loadMoreWords();
  const button = make("button", { type: "button", class: "text-button", title: say("picture.source", { host: url.host }) }, say("picture.show"));
  button.addEventListener("click", () => {
    const picture = make("img", { src: url.href, alt: link.textContent, referrerpolicy: "no-referrer", decoding: "async" });
    picture.addEventListener("error", () => picture.replaceWith(make("span", { class: "small" }, say("picture.failed"))));
    button.replaceWith(picture);
  });
  link.after(button);
}
