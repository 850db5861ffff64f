import assert from "node:assert/strict";
import { test } from "node:test";

import { describeFailure } from "../../../web/parts/failure-words.js";
import { describeMilliseconds } from "../../../web/parts/run-words.js";
import { loadMoreWords, loadWords } from "../../../web/parts/say.js";
import { describeTime } from "../../../web/parts/share-words.js";
import { describeChoiceEnd, describeRetry, describeViewers } from "../../../web/parts/words.js";

await Promise.all([loadWords(), loadMoreWords()]);

test("a single viewer is not counted aloud", () => {
  assert.equal(describeViewers(1), "");
  assert.equal(describeViewers(2), "2 watching");
});

test("a choice that was cut off, or is empty, says so", () => {
  const choice = { content: "", refusal: "", tool_calls: [], finish_reason: "stop" };
  assert.match(describeChoiceEnd(choice), /empty/);
  assert.match(describeChoiceEnd({ ...choice, content: "half", finish_reason: "length" }), /cut off/);
  assert.equal(describeChoiceEnd({ ...choice, content: "whole" }), "");
  assert.equal(describeChoiceEnd({ ...choice, refusal: "No." }), "");
  assert.equal(describeChoiceEnd({ ...choice, tool_calls: [{}] }), "");
  assert.equal(describeChoiceEnd({ ...choice, finish_reason: null }), "");
});

test("each limit that a question can meet has its own words", () => {
  const describe = (code) => describeFailure({ code, refused: true });
  const limits = ["rate_limit_exceeded", "too_many_runs", "storage_limit_exceeded", "storage_full", "queue_full"];
  const words = limits.map(describe);
  assert.equal(new Set([...words, describe("unknown")]).size, limits.length + 1);
});

test("an expiry on another day names the day", () => {
  const now = new Date(2026, 10, 26, 12, 0);
  const seconds = (date) => date.getTime() / 1000;
  const day = new Date(2026, 11, 1, 12, 0).toLocaleString("en", { day: "numeric" });
  assert.ok(!describeTime(seconds(new Date(2026, 10, 26, 21, 40)), now).includes(","));
  assert.ok(describeTime(seconds(new Date(2026, 11, 1, 12, 0)), now).includes(day));
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
