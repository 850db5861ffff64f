import assert from "node:assert/strict";
import { test } from "node:test";

import { Answer } from "../../../web/client/answer.js";

const chunk = (delta, more = {}) => ({ model: "m", choices: [{ index: 0, delta, ...more }] });

test("the text of an answer is the sum of its deltas", () => {
  const answer = new Answer();
  for (const content of ["Hel", "lo", null]) answer.add(chunk({ content }));
  assert.equal(answer.text, "Hello");
  assert.equal(answer.model, "m");
});

test("the words of audio are text", () => {
  const answer = new Answer();
  answer.add(chunk({ content: null, audio: { id: "a", transcript: "Hel" } }));
  answer.add(chunk({ audio: { data: "AA==", transcript: "lo" } }));
  assert.equal(answer.text, "Hello");
});

test("both vendors' fields for reasoning are collected", () => {
  const answer = new Answer();
  answer.add(chunk({ reasoning_content: "a" }));
  answer.add(chunk({ reasoning: "b" }));
  answer.add(chunk({ reasoning: { text: "not a string" } }));
  assert.equal(answer.choices[0].reasoning, "ab");
});

test("the fragments of two tool calls are joined by index", () => {
  const answer = new Answer();
  const part = (index, id, name, text) => ({ index, id, function: { name, arguments: text } });
  answer.add(chunk({ tool_calls: [part(0, "x", "first", "{"), part(1, "y", "second", "[")] }));
  answer.add(chunk({ tool_calls: [part(0, undefined, undefined, "}"), part(1, undefined, undefined, "]")] }));
  assert.deepEqual(
    answer.choices[0].tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]),
    [
      ["x", "first", "{}"],
      ["y", "second", "[]"],
    ],
  );
});

test("a name that is repeated is not joined", () => {
  const answer = new Answer();
  const part = { index: 0, id: "x", function: { name: "first", arguments: "{" } };
  answer.add(chunk({ tool_calls: [part] }));
  answer.add(chunk({ tool_calls: [{ ...part, function: { name: "first", arguments: "}" } }] }));
  assert.deepEqual(answer.choices[0].tool_calls[0].function, { name: "first", arguments: "{}" });
});

test("a tool call keeps its place in the text", () => {
  const answer = new Answer();
  answer.add(chunk({ content: "before" }));
  answer.add(chunk({ tool_calls: [{ index: 0, function: { name: "first", arguments: "{" } }] }));
  answer.add(chunk({ content: " and after" }));
  answer.add(chunk({ tool_calls: [{ index: 0, function: { arguments: "}" } }, { index: 1, function: { name: "second" } }] }));
  assert.deepEqual(answer.choices[0].tool_calls.map(({ at, order }) => [at, order]), [[6, 0], [16, 1]]);
});

test("a tool that the provider has called itself comes with its output", () => {
  const answer = new Answer();
  answer.add(chunk({ content: "Let me look." }));
  answer.add(chunk({ executed_tools: [{ index: 0, type: "search", arguments: '{"q":1}' }] }));
  answer.add(chunk({ executed_tools: [{ index: 0, type: "search", arguments: '{"q":1}', output: { found: 2 } }] }));
  const tool = { name: "search", arguments: '{"q":1}', output: '{"found":2}', at: 12, order: 0 };
  assert.deepEqual(answer.choices[0].executed_tools, [tool]);
});

test("an older function call is shown as a tool call", () => {
  const answer = new Answer();
  answer.add(chunk({ function_call: { name: "first", arguments: "" } }));
  answer.add(chunk({ function_call: { arguments: "{}" } }));
  assert.deepEqual(answer.choices[0].tool_calls[0].function, { name: "first", arguments: "{}" });
});

for (const index of [1e9, -1, 0.5, "length", 2 ** 53, null]) {
  test(`a choice and a tool call of index ${index} get a place`, () => {
    const answer = new Answer();
    const part = { index, function: { name: "first", arguments: "{" } };
    for (const content of ["a", "b"]) answer.add({ choices: [{ index, delta: { content, tool_calls: [part] } }] });
    answer.add(chunk({ content: "other" }, { index: 0 }));
    assert.deepEqual(answer.choices.map(({ content }) => content), ["ab", "other"]);
    assert.deepEqual(answer.choices[0].tool_calls.map((call) => call.function.arguments), ["{{"]);
  });
}

test("an answer has a limited number of choices", () => {
  const answer = new Answer();
  for (let index = 0; index < 1000; index += 1) answer.add({ choices: [{ index: index * 1000, delta: { content: "a" } }] });
  assert.equal(answer.choices.length, 128);
});

test("choices keep their order, whichever comes first", () => {
  const answer = new Answer();
  for (const index of [2, 0, 1]) answer.add({ choices: [{ index, delta: { content: `${index}` } }] });
  assert.deepEqual(answer.choices.map(({ content }) => content), ["0", "1", "2"]);
});

test("clear removes everything, for a restart", () => {
  const answer = new Answer();
  answer.add(chunk({ content: "old" }, { finish_reason: "stop" }));
  answer.clear();
  assert.equal(answer.text, "");
  assert.deepEqual(answer.choices, []);
});
