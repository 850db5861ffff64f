// The AI SDK: its own transport, its own parser, and the Chat that `useChat` puts on a page.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";

const user = (text) => ({ id: "u", role: "user", parts: [{ type: "text", text }] });
const textOf = (message) =>
  message.parts
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("");

function transport(gateway, body) {
  return new DefaultChatTransport({ api: `${gateway}/api/chat`, body });
}

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export async function answer({ gateway }) {
  const chat = new Chat({ transport: transport(gateway, { model: "demo-reasoning" }) });
  await chat.sendMessage({ text: "Tell me about rivers" });
  assert.equal(chat.status, "ready");
  const kinds = chat.lastMessage.parts.map((part) => part.type);
  assert.deepEqual(kinds, ["step-start", "reasoning", "text"]);
  assert.ok(textOf(chat.lastMessage).length > 100);
  await chat.sendMessage({ text: "And lakes?" });
  assert.equal(chat.messages.length, 4);
}

export async function resume({ gateway }) {
  const slow = { model: "demo-long", simulator: { chunks: 60, chunks_per_s: 60 } };
  const id = randomUUID();
  const first = new Chat({ id, transport: transport(gateway, slow) });
  const answering = first.sendMessage({ text: "Tell me about rivers" });
  while (first.lastMessage?.role !== "assistant") await new Promise((resolve) => setTimeout(resolve, 20));
  // A page that was reloaded: it knows the chat's id and what the user has asked.
  const second = new Chat({ id, transport: transport(gateway), messages: [user("Tell me about rivers")] });
  await second.resumeStream();
  await answering;
  assert.equal(second.status, "ready");
  assert.deepEqual(second.lastMessage, first.lastMessage);
  // The answer has ended: a page that comes now gets it too, and one that has it keeps it.
  for (const messages of [[user("Tell me about rivers")], first.messages]) {
    const third = new Chat({ id, transport: transport(gateway), messages });
    await third.resumeStream();
    assert.equal(third.status, "ready");
    assert.equal(third.messages.length, 2);
    assert.deepEqual(third.lastMessage, first.lastMessage);
  }
  // A chat that is not known: a 204, and nothing changes.
  const other = new Chat({ id: randomUUID(), transport: transport(gateway), messages: [user("Hi")] });
  await other.resumeStream();
  assert.equal(other.status, "ready");
  assert.equal(other.messages.length, 1);
}

export async function replay({ gateway }) {
  const chatId = randomUUID();
  const slow = { model: "demo-reasoning", simulator: { chunks_per_s: 100 } };
  const request = { chatId, messages: [user("Hi")], trigger: "submit-message" };
  const live = await transport(gateway, slow).sendMessages(request);
  const again = await transport(gateway).reconnectToStream({ chatId });
  const [told, retold] = await Promise.all([collect(live), collect(again)]);
  assert.deepEqual(retold, told);
  assert.equal(told.at(-1).type, "finish");
  assert.deepEqual(await collect(await transport(gateway).reconnectToStream({ chatId })), told);
  assert.equal(await transport(gateway).reconnectToStream({ chatId: randomUUID() }), null);
}

export async function tools({ gateway }) {
  const called = [];
  const chat = new Chat({
    transport: transport(gateway, { model: "demo-tools" }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall({ toolCall }) {
      called.push(toolCall.toolName);
      chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, output: { degrees: 20 } });
    },
  });
  await chat.sendMessage({ text: "What is the weather?" });
  while (chat.status !== "ready" || !textOf(chat.lastMessage)) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(called.length, 2);
  assert.equal(chat.messages.length, 2);
}

export async function errors({ gateway }) {
  const heard = [];
  for (const model of ["fault-401", "fault-drop"]) {
    const chat = new Chat({ transport: transport(gateway, { model }), onError: (error) => heard.push(error.message) });
    await chat.sendMessage({ text: "Hi" });
    assert.equal(chat.status, "error");
    assert.equal(model === "fault-drop", textOf(chat.lastMessage).length > 0 && chat.lastMessage.role === "assistant");
  }
  assert.equal(heard.length, 2);
  assert.ok(heard.every((text) => text.length > 10 && !text.startsWith("{")), heard.join());
}

export async function stop({ gateway }) {
  const id = randomUUID();
  const chat = new Chat({ id, transport: transport(gateway, { model: "demo-long", simulator: { chunks_per_s: 20 } }) });
  const answering = chat.sendMessage({ text: "Hi" });
  while (chat.lastMessage?.role !== "assistant") await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await fetch(`${gateway}/api/chat/${id}/stream`, { method: "DELETE" })).status, 204);
  await answering;
  assert.equal(chat.status, "ready");
}
