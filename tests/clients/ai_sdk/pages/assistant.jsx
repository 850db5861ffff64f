// A page with assistant-ui and its default transport: with a system prompt, and with a tool that the page executes.
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import {
  AssistantRuntimeProvider,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
  useAssistantInstructions,
  useAssistantTool,
} from "@assistant-ui/react";
import { useChatRuntime } from "@assistant-ui/react-ai-sdk";
import { lastAssistantMessageIsCompleteWithToolCalls } from "ai";

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const said = { Text: ({ text }) => <span>{text}</span> };
const Question = () => (
  <MessagePrimitive.Root data-role="user">
    <MessagePrimitive.Parts components={said} />
  </MessagePrimitive.Root>
);
const Answer = () => (
  <MessagePrimitive.Root data-role="assistant">
    <MessagePrimitive.Parts components={said} />
    <MessagePrimitive.Error>
      <p role="alert">It failed.</p>
    </MessagePrimitive.Error>
  </MessagePrimitive.Root>
);

function Thread() {
  useAssistantInstructions("Answer briefly.");
  useAssistantTool({
    toolName: "get_weather",
    description: "The weather of a city",
    parameters,
    execute: async ({ city }) => ({ city, degrees: 20 }),
    render: ({ args, result }) => <output>{result && `${args.city}: ${result.degrees}`}</output>,
  });
  useEffect(() => {
    document.documentElement.dataset.ready = "";
  }, []);
  return (
    <ThreadPrimitive.Root>
      <ThreadPrimitive.Messages components={{ UserMessage: Question, AssistantMessage: Answer }} />
      <ComposerPrimitive.Root>
        <ComposerPrimitive.Input aria-label="Question" />
        <ComposerPrimitive.Send>Ask</ComposerPrimitive.Send>
      </ComposerPrimitive.Root>
    </ThreadPrimitive.Root>
  );
}

function Page() {
  const runtime = useChatRuntime({ sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <Thread />
    </AssistantRuntimeProvider>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
