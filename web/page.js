/**
 * The chat page: questions, answers, Stop and the link to share. The composition root of index.html.
 */

import { startStream, watchUrl } from "./api.js";
import { announce, find, make } from "./element.js";
import { Reply } from "./reply.js";
import { describeSurroundings } from "./surroundings.js";
import { describeViewers } from "./words.js";

const turns = [];
const form = find("#composer");
const question = find("#question");
const stop = find("#stop");
const send = find("#send");
let current = null;

async function ask(text) {
  turns.push({ role: "user", content: text });
  find("#welcome").hidden = true;
  const article = make("article", { class: "question" }, text);
  find("#turns").append(article);
  const model = find("#model").value || undefined;
  try {
    const { id } = await startStream({ model, messages: turns.map(({ role, content }) => ({ role, content })) });
    follow(id);
  } catch (refusal) {
    turns.pop();
    article.append(make("p", { class: "fault" }, refusal.message));
    announce(refusal.message);
    question.value = text;
  }
}

function follow(id) {
  const share = shareLine(id);
  const reply = new Reply(id, {
    viewers: (count) => (find(".viewers", share).textContent = describeViewers(count)),
    drawn: () => reply.element.scrollIntoView({ block: "end" }),
    settled: () => {
      if (reply.answer.text) turns.push({ role: "assistant", content: reply.answer.text });
      setCurrent(null);
    },
  });
  reply.element.append(share);
  find("#turns").append(reply.element);
  setCurrent(reply);
}

function shareLine(id) {
  const url = watchUrl(id);
  const copy = async (event) => {
    await navigator.clipboard?.writeText(url);
    event.target.textContent = "Copied";
  };
  return make(
    "p",
    { class: "share" },
    make("a", { href: url, class: "watch-link" }, "Watch link"),
    make("button", { type: "button", onclick: copy }, "Copy link"),
    make("span", { class: "viewers" }),
  );
}

function setCurrent(reply) {
  current = reply;
  stop.hidden = current === null;
  send.hidden = current !== null;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || current) return;
  question.value = "";
  ask(text);
});
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stop.addEventListener("click", () => current?.stop().catch((refusal) => announce(refusal.message)));
describeSurroundings();
