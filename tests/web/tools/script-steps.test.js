import assert from "node:assert/strict";
import { test } from "node:test";

import { comparePlaces, resultOf, ScriptSteps } from "../../../web/client/script-steps.js";

const begin = (id, more = {}) => ({ id, state: "begin", kind: "generate", name: `step ${id}`, parent: null, ...more });
const text = (id, content) => ({ id, state: "chunk", choices: [{ index: 0, delta: { content } }] });
const names = (steps) => [...steps.walk()].map(({ id }) => id);

test("the text of a step is the sum of its chunks", () => {
  const steps = new ScriptSteps();
  const node = steps.take("step", begin("1"));
  steps.take("step", text("1", "Leaves "));
  steps.take("step", text("1", "fall"));
  assert.equal(resultOf(node), "Leaves fall");
  assert.equal(node.state, "running");
  steps.take("step", { id: "1", state: "end", ms: 5, error: null });
  assert.equal(node.state, "done");
});

test("steps nest by their parents, and stand in the order of their places", () => {
  const steps = new ScriptSteps();
  steps.take("step", begin("1", { kind: "part" }));
  for (const id of ["1.1.10.1", "1.1.2.1"]) steps.take("step", begin(id, { parent: "1" }));
  steps.take("step", begin("2"));
  assert.deepEqual(names(steps), ["1", "1.1.2.1", "1.1.10.1", "2"]);
  assert.equal(steps.nodes.get("1.1.2.1").parent.id, "1");
});

test("places are compared as numbers", () => {
  assert.ok(comparePlaces("2", "10") < 0);
  assert.ok(comparePlaces("2", "2.1") < 0);
  assert.equal(comparePlaces("2.1", "2.1"), 0);
});

test("a step that starts again loses its text, and a step that fails says so", () => {
  const steps = new ScriptSteps();
  const node = steps.take("step", begin("1"));
  steps.take("step", text("1", "Leaves"));
  steps.take("step", { id: "1", state: "restart" });
  assert.equal(resultOf(node), "");
  steps.take("step", { id: "1", state: "end", ms: 5, error: { message: "down" } });
  assert.equal(node.state, "failed");
});

test("the text of a step that is said comes with the answer, and is void when the answer begins again", () => {
  const steps = new ScriptSteps();
  const node = steps.take("step", begin("1", { said: true }));
  steps.takeChunk({ choices: [{ index: 0, delta: { content: "Hello" } }], manycast: { step: "1" } });
  assert.equal(resultOf(node), "Hello");
  steps.voidAnswer();
  assert.equal(resultOf(node), "");
});

test("a question is open until it is answered, and open again after an answer that does not fit", () => {
  const steps = new ScriptSteps();
  const node = steps.take("input", { id: "1", state: "asked", question: "Sure?", step: null });
  assert.equal(node.state, "asked");
  steps.take("input", { id: "1", state: "refused", problem: "in pairs" });
  assert.deepEqual([node.state, node.told.problem, node.name], ["asked", "in pairs", "Sure?"]);
  steps.take("input", { id: "1", state: "answered", value: "yes", by: "user:ada" });
  assert.deepEqual([node.state, node.told.problem, node.told.by], ["answered", "", "user:ada"]);
});

test("events about steps that never began change nothing", () => {
  const steps = new ScriptSteps();
  assert.equal(steps.take("step", text("7", "x")), null);
  assert.equal(steps.take("input", { id: "7", state: "answered", value: 1 }), null);
  assert.deepEqual(names(steps), []);
});
