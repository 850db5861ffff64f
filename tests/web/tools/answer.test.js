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

test("an older function call is shown as a tool call", () => {
  const answer = new Answer();
  answer.add(chunk({ function_call: { name: "first", arguments: "" } }));
  answer.add(chunk({ function_call: { arguments: "{}" } }));
  assert.deepEqual(answer.choices[0].tool_calls[0].function, { name: "first", arguments: "{}" });
});

test("clear removes everything, for a restart", () => {
  const answer = new Answer();
  answer.add(chunk({ content: "old" }, { finish_reason: "stop" }));
  answer.clear();
  assert.equal(answer.text, "");
  assert.deepEqual(answer.choices, []);
});
