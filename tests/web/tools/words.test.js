import assert from "node:assert/strict";
import { test } from "node:test";

import { describeMilliseconds, describeRetry, describeUntil, describeViewers } from "../../../web/parts/words.js";

test("a single viewer is not counted aloud", () => {
  assert.equal(describeViewers(1), "");
  assert.equal(describeViewers(2), "2 watching");
});

test("an expiry on another day names the day", () => {
  const now = new Date(2026, 10, 26, 12, 0);
  const seconds = (date) => date.getTime() / 1000;
  const day = new Date(2026, 11, 1, 12, 0).toLocaleString([], { day: "numeric" });
  assert.ok(!describeUntil(seconds(new Date(2026, 10, 26, 21, 40)), now).includes(","));
  assert.ok(describeUntil(seconds(new Date(2026, 11, 1, 12, 0)), now).includes(day));
});

test("times are readable", () => {
  assert.equal(typeof describeMilliseconds(1234), "string");
  assert.notEqual(describeMilliseconds(20), describeMilliseconds(20_000));
  assert.equal(typeof describeRetry(5), "string");
});
