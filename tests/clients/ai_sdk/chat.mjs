// `node chat.mjs VERSION GATEWAY`: one version of the AI SDK, with its own transport, its own parser and the Chat behind
// `useChat`, in scenarios that run at the same time. Prints the scenarios that failed.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { sdk } from "./sdk.mjs";

const [version, gateway] = process.argv.slice(2);
const { Chat, DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } = await sdk(version);

const user = (text) => ({ id: "u", role: "user", parts: [{ type: "text", text }] });
const textOf = (message) =>
  (message?.parts ?? [])
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("");
/** Waits for a condition of the chat. An answer that failed never fulfils it. */
const until = async (chat, condition) => {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    assert.notEqual(chat.status, "error", chat.error);
    assert.ok(Date.now() < deadline, `${condition}: ${chat.status}, ${JSON.stringify(chat.messages)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const hasAnswer = (message) => message?.role === "assistant" && textOf(message).length > 10;
/** A call with a result that is replayed says that the page did not execute it; else it does not say so. */
const comparable = (message) =>
  JSON.parse(JSON.stringify(message, (key, value) => (key === "providerExecuted" ? undefined : value)));

function transport(body) {
  return new DefaultChatTransport({ api: `${gateway}/api/chat`, body });
}

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function chatWithTools(options) {
  const chat = new Chat({
    ...options,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall({ toolCall: { toolName: tool, toolCallId } }) {
      // Versions before 5.0.70 or so have only the older name.
      const add = chat.addToolOutput ?? chat.addToolResult;
      options.calls.push(toolCallId);
      add({ tool, toolCallId, output: { degrees: 20 } });
    },
  });
  return chat;
}

const scenarios = {
  async answer() {
    const chat = new Chat({ transport: transport({ model: "demo-reasoning" }) });
    await chat.sendMessage({ text: "Tell me about rivers" });
    assert.equal(chat.status, "ready", chat.error);
    const kinds = chat.lastMessage.parts.map((part) => part.type);
    assert.deepEqual(kinds, ["step-start", "reasoning", "text"]);
    assert.ok(textOf(chat.lastMessage).length > 100);
    assert.equal(chat.lastMessage.metadata.finishReason, "stop");
    await chat.sendMessage({ text: "And lakes?" });
    assert.equal(chat.messages.length, 4);
  },

  async resume() {
    const slow = { model: "demo-long", simulator: { chunks: 60, chunks_per_s: 60 } };
    const id = randomUUID();
    const first = new Chat({ id, transport: transport(slow) });
    const answering = first.sendMessage({ text: "Tell me about rivers" });
    await until(first, () => first.lastMessage?.role === "assistant");
    // A page that was reloaded: it knows the chat's id and what the user has asked.
    const second = new Chat({ id, transport: transport(), messages: [user("Tell me about rivers")] });
    await second.resumeStream();
    await answering;
    assert.equal(second.status, "ready", second.error);
    assert.deepEqual(second.lastMessage, first.lastMessage);
    // The answer has ended: a page that comes now gets it too.
    const third = new Chat({ id, transport: transport(), messages: [user("Tell me about rivers")] });
    await third.resumeStream();
    assert.deepEqual(third.lastMessage, first.lastMessage);
    // A chat that is not known: a 204, and nothing changes.
    const other = new Chat({ id: randomUUID(), transport: transport(), messages: [user("Hi")] });
    await other.resumeStream();
    assert.equal(other.messages.length, 1);
    if (version === "5.0.0") return;
    // A page that kept the messages. Versions before 5.0.270 and 6.0.297 would append the answer to itself.
    const fourth = new Chat({ id, transport: transport(), messages: first.messages });
    await fourth.resumeStream();
    assert.equal(fourth.messages.length, 2);
    assert.deepEqual(fourth.lastMessage, first.lastMessage);
  },

  async replay() {
    const chatId = randomUUID();
    const slow = { model: "demo-reasoning", simulator: { chunks_per_s: 100 } };
    const live = await transport(slow).sendMessages({ chatId, messages: [user("Hi")], trigger: "submit-message" });
    const again = await transport().reconnectToStream({ chatId });
    const [told, retold] = await Promise.all([collect(live), collect(again)]);
    assert.deepEqual(retold, told);
    assert.equal(told.at(-1).type, "finish");
    assert.deepEqual(await collect(await transport().reconnectToStream({ chatId })), told);
    assert.equal(await transport().reconnectToStream({ chatId: randomUUID() }), null);
  },

  async tools() {
    const calls = [];
    const chat = chatWithTools({ calls, transport: transport({ model: "demo-tools" }) });
    await chat.sendMessage({ text: "What is the weather?" });
    await until(chat, () => chat.status === "ready" && textOf(chat.lastMessage));
    assert.equal(calls.length, 2);
    assert.equal(chat.messages.length, 2);
  },

  async reloadAfterTool() {
    const id = randomUUID();
    const slow = { model: "demo-tools", simulator: { chunks_per_s: 30 } };
    const first = chatWithTools({ id, calls: [], transport: transport(slow) });
    const asking = first.sendMessage({ text: "What is the weather?" });
    await until(first, () => hasAnswer(first.lastMessage));
    const kept = structuredClone(first.messages);
    // The page was reloaded and knows the question, or all that it had. (For versions before 5.0.270: the former only.)
    for (const messages of version === "5.0.0" ? [kept.slice(0, 1)] : [kept.slice(0, 1), kept]) {
      const calls = [];
      const second = chatWithTools({ id, calls, messages, transport: transport() });
      await second.resumeStream();
      assert.equal(second.status, "ready", second.error);
      await asking;
      await until(first, () => first.status === "ready");
      assert.deepEqual(calls, []);
      assert.equal(second.messages.length, 2);
      assert.deepEqual(comparable(second.lastMessage), comparable(first.lastMessage));
    }
  },

  async errors() {
    const heard = [];
    for (const model of ["fault-401", "fault-drop"]) {
      const chat = new Chat({ transport: transport({ model }), onError: (error) => heard.push(error.message) });
      await chat.sendMessage({ text: "Hi" });
      assert.equal(chat.status, "error");
      assert.equal(model === "fault-drop", chat.lastMessage.role === "assistant" && textOf(chat.lastMessage).length > 0);
    }
    assert.equal(heard.length, 2);
    assert.ok(
      heard.every((text) => text.length > 10 && !text.startsWith("{") && !text.includes("validation")),
      heard.join(),
    );
  },

  async stop() {
    const id = randomUUID();
    const chat = new Chat({ id, transport: transport({ model: "demo-long", simulator: { chunks_per_s: 20 } }) });
    const answering = chat.sendMessage({ text: "Hi" });
    await until(chat, () => chat.lastMessage?.role === "assistant");
    assert.equal((await fetch(`${gateway}/api/chat/${id}/stream`, { method: "DELETE" })).status, 204);
    await answering;
    assert.equal(chat.status, "ready", chat.error);
  },
};

const failures = [];
await Promise.all(
  Object.entries(scenarios).map(([scenario, run]) =>
    run().catch((error) => failures.push(`${scenario}: ${error.stack}`)),
  ),
);
console.log(failures.join("\n"));
process.exit(failures.length ? 1 : 0);
