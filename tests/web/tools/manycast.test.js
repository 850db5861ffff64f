import assert from "node:assert/strict";
import { test } from "node:test";

import { EventDispatcher, isAfter, merge } from "../../../web/client/manycast.js";

test("positions are compared by epoch, then by number", () => {
  assert.ok(isAfter("1-10", "1-9"));
  assert.ok(isAfter("2-1", "1-99"));
  assert.ok(!isAfter("1-9", "1-9"));
  assert.ok(!isAfter("1-9", "1-10"));
});

test("merge adds the shared fields, removes what is unset, and unescapes names", () => {
  const shared = { id: "c", model: "m", system_fingerprint: "f" };
  const chunk = merge(shared, { $unset: ["system_fingerprint"], $$odd: 1, choices: [] });
  assert.deepEqual(chunk, { id: "c", model: "m", $odd: 1, choices: [] });
  assert.deepEqual(shared, { id: "c", model: "m", system_fingerprint: "f" });
});

test("what a script does beside its answer reaches its own callbacks", () => {
  const told = [];
  const dispatcher = new EventDispatcher({
    step: (step, position) => told.push([step.state, position]),
    input: (input, position) => told.push([input.state, position]),
    emit: (emit, position) => told.push([emit.name, position]),
    chunk: () => assert.fail("no part of the answer"),
  });
  dispatcher.dispatch({ name: "step", data: { id: "1", state: "begin" }, position: "1-3" });
  dispatcher.dispatch({ name: "emit", data: { id: "2", name: "progress", step: null, data: 1 }, position: "1-4" });
  dispatcher.dispatch({ name: "input", data: { id: "3", state: "asked" }, position: "1-5" });
  assert.deepEqual(told, [["begin", "1-3"], ["progress", "1-4"], ["asked", "1-5"]]);
});
