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

test("times have the unit that suits them", () => {
  assert.equal(describeMilliseconds(null), "–");
  assert.equal(describeMilliseconds(19.6), "20 ms");
  assert.equal(describeMilliseconds(1234), "1.2 s");
  assert.equal(describeRetry(0), "");
  assert.equal(describeRetry(4.2), "Try again in 5 s.");
  assert.equal(describeRetry(119.5), "Try again in 120 s.");
  assert.equal(describeRetry(121), "Try again in 3 min.");
});
