/**
 * Stores conversations in this browser only. No DOM.
 *
 * A conversation is `{id, title, updated, turns}`; a turn is `{role: "user", content}` or
 * `{role: "assistant", stream, cancel, choices, done}`, where `done` is null while its stream may still be running, and
 * `cancel` is the URL that stops the run. Anyone who has it can stop the run, so it is not shown on any page.
 */

const PREFIX = "manycast:conversation:";
const INDEX = "manycast:conversations";
const MOST_KEPT = 100;

export class Conversations {
  /** @param {Storage|null} storage  null: the browser forbids storage; everything is lost when the page closes */
  constructor(storage) {
    this.storage = storage;
    this.unkept = new Map();
  }

  /** `[{id, title, updated}]`, latest first. */
  list() {
    return this.#read(INDEX) ?? [];
  }

  /** The conversation, or null if it is not stored. */
  load(id) {
    return this.#read(PREFIX + id);
  }

  save(conversation) {
    conversation.updated = Date.now();
    const { id, title, updated } = conversation;
    const kept = [{ id, title, updated }, ...this.list().filter((other) => other.id !== id)];
    for (const { id: oldest } of kept.splice(MOST_KEPT)) this.#forget(PREFIX + oldest);
    // If the storage is full, delete the oldest conversations.
    while (!(this.#write(PREFIX + id, conversation) && this.#write(INDEX, kept)) && kept.length > 1) {
      this.#forget(PREFIX + kept.pop().id);
    }
  }

  remove(id) {
    this.#forget(PREFIX + id);
    this.#write(INDEX, this.list().filter((other) => other.id !== id));
  }

  #read(key) {
    const text = this.storage?.getItem(key) ?? this.unkept.get(key);
    try {
      return text ? JSON.parse(text) : null;
    } catch {
      return null; // not our data, or from a later version
    }
  }

  #write(key, value) {
    const text = JSON.stringify(value);
    if (!this.storage) return this.unkept.set(key, text);
    try {
      this.storage.setItem(key, text);
      return true;
    } catch {
      return false;
    }
  }

  #forget(key) {
    this.storage?.removeItem(key);
    this.unkept.delete(key);
  }
}

export function newConversation() {
  return { id: randomId(), title: "", updated: 0, turns: [] };
}

/** The browser's storage, or null if the browser forbids it. */
export function openStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

/** The messages for the model: the system prompt and all turns with text. */
export function toMessages(conversation, system) {
  const turns = conversation.turns
    .map(({ role, content, choices }) => ({ role, content: content ?? choices?.[0]?.content ?? "" }))
    .filter(({ content }) => content);
  return system ? [{ role: "system", content: system }, ...turns] : turns;
}

/** 128 random bits. crypto.randomUUID exists only on https and localhost. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
