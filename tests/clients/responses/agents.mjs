// OpenAI's agents SDK for JavaScript, with its default kind of model: tools, streaming, a hand-over.
import assert from "node:assert/strict";
import { Agent, run, setDefaultOpenAIClient, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

setTracingDisabled(true);
setDefaultOpenAIClient(new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "any", maxRetries: 0 }));

const weather = tool({
  name: "get_weather",
  description: "The weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async () => "Sunny",
});
const calls = (result) => result.newItems.filter((item) => item.type === "tool_call_item").length;

const agent = new Agent({ name: "guide", model: "demo-reasoning", instructions: "Be kind.", tools: [weather] });
const whole = await run(agent, "How is the weather?");
assert.equal(calls(whole), 1);
assert.ok(whole.finalOutput);

const streamed = await run(agent, "How is the weather?", { stream: true });
let deltas = "";
for await (const event of streamed) {
  if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") deltas += event.data.delta;
}
await streamed.completed;
assert.equal(calls(streamed), 1);
assert.equal(streamed.finalOutput, deltas);

const expert = new Agent({ name: "weather expert", model: "demo", tools: [weather] });
const desk = Agent.create({ name: "desk", model: "demo", handoffs: [expert] });
const handed = await run(desk, "transfer_to_weather_expert, please");
assert.equal(handed.lastAgent.name, "weather expert");
assert.ok(handed.finalOutput);

const next = await run(agent, "Thanks", { previousResponseId: whole.lastResponseId });
assert.match(next.finalOutput, /Thanks/);
