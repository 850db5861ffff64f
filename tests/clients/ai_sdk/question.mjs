// `node question.mjs VERSION GATEWAY`: the Chat behind `useChat` shows what a script asks, and the page answers.
import assert from "node:assert/strict";
import { sdk } from "./sdk.mjs";

const [version, gateway] = process.argv.slice(2);
const { Chat, DefaultChatTransport } = await sdk(version);

const questionsOf = (message) => (message?.parts ?? []).filter((part) => part.type === "data-input");
const textOf = (message) => message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

async function approve(value) {
  const transport = new DefaultChatTransport({ api: `${gateway}/api/chat`, body: { model: "script/secretary" } });
  const chat = new Chat({ transport });
  const answering = chat.sendMessage({ text: "Use send_mail to greet Ada" });
  while (questionsOf(chat.lastMessage)[0]?.data.state !== "asked") {
    assert.equal(chat.error, undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [{ data }] = questionsOf(chat.lastMessage);
  assert.deepEqual(data.choices, ["yes", "no"]);
  const answered = await fetch(`${gateway}/v1/streams/${chat.lastMessage.id}/input`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ id: data.id, value }),
  });
  assert.equal(answered.status, 200);
  await answering;
  assert.equal(chat.status, "ready", chat.error);
  const questions = questionsOf(chat.lastMessage);
  assert.deepEqual(
    questions.map((part) => [part.data.state, part.data.value]),
    [["answered", value]],
  );
  return textOf(chat.lastMessage);
}

const [sent, refused] = await Promise.all([approve("yes"), approve("no")]);
assert.match(sent, /`sent`/);
assert.match(refused, /does not want this mail/);
