// `node page.mjs CHAT.jsx`: puts the component on a page, asks, takes the page away in the middle, and puts it back.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { unlink, writeFile } from "node:fs/promises";
import { GlobalRegistrator } from "@happy-dom/global-registrator";
import { transform } from "esbuild";
import { readFile } from "node:fs/promises";

const native = { fetch, Response, Request, Headers, ReadableStream, TransformStream, AbortController, AbortSignal };
GlobalRegistrator.register({ url: "http://page.test/" });
// The network is Node's own: what is tested is the component, not another fetch.
Object.assign(globalThis, native);

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { code } = await transform(await readFile(process.argv[2], "utf8"), { loader: "jsx", jsx: "automatic" });
const module = new URL(`./.snippet-${process.pid}.mjs`, import.meta.url);
await writeFile(module, code);
const { default: Chat } = await import(module).finally(() => unlink(module));

const id = randomUUID();
const until = async (ask) => {
  const deadline = Date.now() + 30_000;
  while (!ask()) {
    assert.ok(Date.now() < deadline, document.body.innerHTML);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
function open() {
  const place = document.body.appendChild(document.createElement("div"));
  const root = createRoot(place);
  root.render(createElement(Chat, { id: `${id}` }));
  const texts = () => [...place.querySelectorAll("p")].map((each) => each.textContent);
  return { place, texts, close: () => (root.unmount(), place.remove()) };
}

const first = open();
await until(() => first.place.querySelector("button"));
first.place.querySelector("button").click();
await until(() => first.texts().length === 2 && first.texts()[1].length > 20);
first.close();

const second = open();
await until(() => second.texts().at(-1)?.length > 20);
const stop = () => second.place.querySelectorAll("button")[1];
await until(() => stop().disabled);
assert.equal(second.place.querySelector("[role=alert]"), null);
assert.ok(second.texts().at(-1).length > 300, second.texts().at(-1));
process.exit(0);
