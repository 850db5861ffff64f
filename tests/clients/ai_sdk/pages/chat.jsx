// A page with `useChat`, as people build it. It is told by its address what to do:
// `chat`: the chat's id. `body`: JSON that goes along with each question. `keeps`: the page keeps the messages itself, in
// the browser's storage; otherwise it fetches those before the answer from the gateway. `strict`: React's strict mode.
// `served`: the server executes the tools.
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";

const api = "/api/chat";
const asked = new URLSearchParams(location.search);
const id = asked.get("chat");
const transport = new DefaultChatTransport({ api, body: JSON.parse(asked.get("body") ?? "{}") });

const storage = `chat-${id}`;
const kept = () => JSON.parse(localStorage.getItem(storage) ?? "[]");
const fetched = async () => (await (await fetch(`${api}/${id}/messages`)).json()).messages;

function executeTool() {
  sessionStorage.setItem("executed", Number(sessionStorage.getItem("executed")) + 1);
  return { degrees: 20 };
}

function Chat({ before }) {
  const ownTools = {
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    onToolCall({ toolCall: { toolName: tool, toolCallId } }) {
      // Versions before 5.0.70 or so have only the older name.
      (chat.addToolOutput ?? chat.addToolResult)({ tool, toolCallId, output: executeTool() });
    },
  };
  const chat = useChat({ id, messages: before, transport, resume: true, ...(asked.has("served") ? {} : ownTools) });
  const { messages, sendMessage, status, error } = chat;
  const [question, setQuestion] = useState("");
  useEffect(() => {
    if (asked.has("keeps")) localStorage.setItem(storage, JSON.stringify(messages));
  }, [messages]);
  useEffect(() => {
    document.documentElement.dataset.ready = "";
  }, []);
  return (
    <main data-status={status}>
      {messages.map(({ id, role, parts }) => (
        <article key={id} id={id} data-role={role} data-parts={parts.map(({ type }) => type).join(" ")}>
          {parts.map((part) => (part.type === "text" ? part.text : "")).join("")}
        </article>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sendMessage({ text: question });
        }}
      >
        <input aria-label="Question" value={question} onChange={(event) => setQuestion(event.target.value)} />
        <button>Ask</button>
      </form>
    </main>
  );
}

const before = asked.has("keeps") ? kept() : await fetched();
const page = <Chat before={before} />;
createRoot(document.getElementById("root")).render(asked.has("strict") ? <StrictMode>{page}</StrictMode> : page);
