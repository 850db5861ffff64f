// The AI SDK's default model of OpenAI, which calls /v1/responses: text, objects, tools, and a chat through a route.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import {
  convertToModelMessages,
  DefaultChatTransport,
  generateObject,
  generateText,
  readUIMessageStream,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { z } from "zod";

globalThis.AI_SDK_LOG_WARNINGS = false;
async function collect(pieces) {
  const collected = [];
  for await (const piece of pieces) collected.push(piece);
  return collected;
}

const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "any" });
const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async () => "Sunny" });
const loop = { tools: { get_weather: weather }, stopWhen: stepCountIs(5), maxRetries: 0 };
const ask = { ...loop, prompt: "How is the weather?" };

for (const model of ["demo", "demo-reasoning"]) {
  for (const store of [true, false]) {
    // Stored: the second step names the items of the first. Not stored: it sends them again.
    const providerOptions = { openai: { store, include: ["reasoning.encrypted_content"] } };
    const whole = await generateText({ ...ask, model: openai(model), providerOptions });
    assert.equal(whole.steps.length, 2);
    assert.ok(whole.text);
    assert.ok(whole.totalUsage.totalTokens);

    const streamed = streamText({ ...ask, model: openai(model), providerOptions });
    const parts = await collect(streamed.fullStream);
    assert.deepEqual(
      parts.filter(({ type }) => type === "error"),
      [],
    );
    assert.equal((await streamed.steps).length, 2);
    assert.equal(await streamed.finishReason, "stop");
    const thoughts = parts.filter(({ type }) => type === "reasoning-delta");
    assert.equal(thoughts.length > 0, model === "demo-reasoning");
  }
}

// An answer that breaks, and one that is cancelled, are errors with our words; what came before them stays.
const broken = streamText({ ...ask, model: openai("fault-drop"), tools: {}, onError() {} });
const heard = await collect(broken.fullStream);
assert.ok(heard.some(({ type }) => type === "text-delta"));
const told = heard.find(({ type }) => type === "error");
assert.match(JSON.stringify(told.error?.message ?? told.error), /upstream_disconnected|connection to the provider/);

const schema = z.object({ name: z.string(), length_km: z.number() });
const { object } = await generateObject({ model: openai("demo"), schema, prompt: "Tell me about rivers" });
assert.equal(object.name, "rivers");

const route = createServer(async (request, response) => {
  const { messages } = JSON.parse(Buffer.concat(await collect(request)));
  const answer = streamText({ ...loop, model: openai("demo-reasoning"), messages: await convertToModelMessages(messages) });
  answer.pipeUIMessageStreamToResponse(response);
});
await new Promise((listening) => route.listen(0, "127.0.0.1", listening));
const transport = new DefaultChatTransport({ api: `http://127.0.0.1:${route.address().port}/` });
const messages = [];
for (const text of ["How is the weather?", "Thanks"]) {
  messages.push({ id: text, role: "user", parts: [{ type: "text", text }] });
  const stream = await transport.sendMessages({ chatId: "c", trigger: "submit-message", messages });
  let answer;
  for await (answer of readUIMessageStream({ stream }));
  messages.push(answer);
}
route.close();
const [, first, , second] = messages.map(({ parts }) => parts.map(({ type }) => type));
assert.ok(first.includes("tool-get_weather") && first.includes("reasoning"));
assert.equal(second.at(-1), "text");
