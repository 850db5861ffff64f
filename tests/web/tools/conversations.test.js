import assert from "node:assert/strict";
import { test } from "node:test";

import { fromJson, toJson, toMarkdown } from "../../../web/parts/archive.js";
import { addAnswer, addQuestion, Conversations, mergeConversations, newConversation, removeLast, toMessages } from "../../../web/parts/conversations.js";
import { loadMoreWords, loadWords } from "../../../web/parts/say.js";

await Promise.all([loadWords(), loadMoreWords()]);

/** A browser's storage that has room for some characters. */
class Room extends Map {
  constructor(room = Infinity) {
    super();
    this.room = room;
  }
  getItem(key) {
    return this.get(key) ?? null;
  }
  setItem(key, text) {
    const others = [...this].reduce((sum, [name, value]) => sum + (name === key ? 0 : value.length), 0);
    if (others + text.length > this.room) throw new Error("QuotaExceededError");
    this.set(key, text);
  }
  removeItem(key) {
    this.delete(key);
  }
}

function converse(...questions) {
  const conversation = newConversation();
  conversation.title = questions[0];
  for (const question of questions) {
    addQuestion(conversation, question);
    addAnswer(conversation, { stream: "s_1", cancel: "secret", choices: [{ content: `About ${question}` }], done: { status: "completed" } });
  }
  return conversation;
}

const textsOf = (conversation) => toMessages(conversation, "").map(({ content }) => content);

test("two tabs that change a conversation lose nothing of either", () => {
  const storage = new Room();
  const [one, other] = [new Conversations(storage), new Conversations(storage)];
  const ours = converse("First");
  one.save(ours);
  const theirs = other.load(ours.id);
  addQuestion(ours, "Ours");
  addQuestion(theirs, "Theirs");
  one.save(ours);
  other.save(theirs);
  one.save(ours);
  assert.deepEqual(textsOf(theirs).sort(), ["About First", "First", "Ours", "Theirs"]);
  assert.deepEqual(textsOf(other.load(ours.id)), textsOf(ours));
});

test("a turn that one tab has replaced does not come back from the other", () => {
  const storage = new Room();
  const conversations = new Conversations(storage);
  const ours = converse("First");
  conversations.save(ours);
  const theirs = conversations.load(ours.id);
  removeLast(ours);
  addAnswer(ours, { choices: [{ content: "Again" }] });
  conversations.save(ours);
  conversations.save(theirs);
  assert.deepEqual(textsOf(conversations.load(ours.id)), ["First", "Again"]);
});

test("an answer stays with its question, and its end is taken from the tab that saw it", () => {
  const ours = newConversation();
  addQuestion(ours, "First");
  const theirs = structuredClone(ours);
  addQuestion(ours, "Second");
  const turn = addAnswer(theirs, { choices: [{ content: "To the first" }], done: { status: "completed" } });
  ours.turns.push({ ...turn, choices: [], done: null });
  assert.deepEqual(textsOf({ turns: mergeConversations(ours, theirs).turns }), ["First", "To the first", "Second"]);
});

test("the title that the reader chose last counts", () => {
  const ours = { ...newConversation(), title: "Old", titled: 1 };
  assert.equal(mergeConversations(ours, { ...newConversation(), title: "New", titled: 2 }).title, "New");
  assert.equal(mergeConversations(ours, { ...newConversation(), title: "First words" }).title, "Old");
});

test("a full store drops nothing, says so, and keeps the conversation until the page closes", () => {
  const storage = new Room(2500);
  const conversations = new Conversations(storage);
  const kept = converse("First");
  assert.equal(conversations.save(kept), true);
  const large = converse("x".repeat(2000));
  assert.equal(conversations.save(large), false);
  assert.deepEqual(conversations.list().map(({ id }) => id).sort(), [kept.id, large.id].sort());
  assert.equal(textsOf(conversations.load(large.id)).length, 2);
  assert.equal(textsOf(new Conversations(storage).load(kept.id)).length, 2);
  conversations.remove(large.id);
  assert.equal(conversations.save(kept), true);
});

test("conversations are found by words of their titles and texts", () => {
  const conversations = new Conversations(new Room());
  conversations.save(converse("How do tides work?"));
  conversations.save(converse("Why is the sky blue?", "And the MOON?"));
  assert.deepEqual(conversations.search("moon about").map(({ title }) => title), ["Why is the sky blue?"]);
  assert.equal(conversations.search("").length, 2);
  assert.equal(conversations.search("moon tides").length, 0);
});

test("what is exported is imported as it was, without what stops a run", () => {
  const given = [converse("First", "Second")];
  const text = toJson(given);
  assert.ok(!text.includes("secret"));
  const [read] = fromJson(text);
  assert.equal(read.id, given[0].id);
  assert.deepEqual(textsOf(read), textsOf(given[0]));
  assert.match(toMarkdown(given), /^# First\n\n## Question\n\nFirst\n\n## Answer\n\nAbout First\n/);
});

for (const text of ["", "[]", "{}", '{"format":"manycast-conversations","conversations":[{"id":"../x"}]}', '{"format":"manycast-conversations","conversations":[null]}']) {
  test(`a file with ${text || "nothing"} is refused in words`, () => {
    assert.throws(() => fromJson(text), /^Error: (This file|A conversation)/);
  });
}

test("an imported file cannot put anything but texts into a conversation", () => {
  const turns = [{ role: "user", content: { html: 1 } }, { role: "assistant", stream: 5, choices: [{ content: 7, tool_calls: [{ function: null, name: 3 }] }], done: 1 }];
  const [read] = fromJson(JSON.stringify({ format: "manycast-conversations", conversations: [{ id: "0".repeat(32), title: 1, turns }] }));
  assert.equal(read.turns[0].content, "");
  assert.deepEqual(read.turns[1].done, { status: "cancelled" });
  assert.equal(read.turns[1].choices[0].tool_calls[0].name, "");
});
