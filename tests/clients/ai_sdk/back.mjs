// `node back.mjs VERSION GATEWAY CHAT`: a page that comes back to a chat, executes the tools that the answer calls, and
// prints the message with all its steps, and the audio that it `heard`.
import assert from "node:assert/strict";
import { sdk } from "./sdk.mjs";

const [version, gateway, id] = process.argv.slice(2);
const { Chat, DefaultChatTransport } = await sdk(version);
// For 5.0.0's own lastAssistantMessageIsCompleteWithToolCalls, a call that failed is not complete.
const hasEveryResult = ({ messages }) => {
  const { parts } = messages.at(-1);
  return parts.at(-1).type.startsWith("tool-") && parts.every((part) => !part.type.startsWith("tool-") || part.state.startsWith("output-"));
};

const api = `${gateway}/api/chat`;
const { messages } = await (await fetch(`${api}/${id}/messages`)).json();
const heard = [];
const chat = new Chat({
  id,
  messages,
  onData: ({ type, data }) => type === "data-audio" && heard.push(data),
  transport: new DefaultChatTransport({ api }),
  sendAutomaticallyWhen: hasEveryResult,
  onToolCall({ toolCall: { toolName: tool, toolCallId } }) {
    (chat.addToolOutput ?? chat.addToolResult)({ tool, toolCallId, output: { degrees: 20 } });
  },
});
await chat.resumeStream();
const isComplete = () => chat.lastMessage.parts.some((part) => part.type === "text" && part.text === "It is 20 degrees.");
while (chat.status !== "error" && !(chat.status === "ready" && isComplete())) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
assert.equal(chat.error, undefined);
assert.equal(chat.messages.length, 2);
console.log(JSON.stringify({ ...chat.lastMessage, heard }));
process.exit(0);
