import assert from "node:assert/strict";
import { test } from "node:test";

import { isAfter, merge } from "../../../web/client/manycast.js";

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
