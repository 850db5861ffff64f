/**
 * Conversations, kept in this browser and nowhere else. No DOM.
 *
 * A conversation is `{id, title, updated, turns}`; a turn is `{role: "user", content}` or
 * `{role: "assistant", stream, cancel, choices, done}`, where `done` is null while its stream may still be running, and
 * `cancel` is the address that stops it: whoever has that may, so no other page gets to see it.
 */

const PREFIX = "manycast:conversation:";
const INDEX = "manycast:conversations";
const MOST_KEPT = 100;

export class Conversations {
  /** @param {Storage|null} storage  null: nothing outlives the page (a browser may forbid keeping) */
  constructor(storage) {
    this.storage = storage;
    this.unkept = new Map();
  }

  /** `[{id, title, updated}]`, the latest first. */
  list() {
    return this.#read(INDEX) ?? [];
  }

  /** The conversation, or null where it is not kept (any more). */
  load(id) {
    return this.#read(PREFIX + id);
  }

  save(conversation) {
    conversation.updated = Date.now();
    const { id, title, updated } = conversation;
    const kept = [{ id, title, updated }, ...this.list().filter((other) => other.id !== id)];
    for (const { id: oldest } of kept.splice(MOST_KEPT)) this.#forget(PREFIX + oldest);
    // The browser's space is limited: the oldest make room.
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
      return null; // not ours, or from a version to come
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

/** The browser's storage, or null where it may not be used. */
export function openStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

/** What the model is told: the system prompt, and every turn that has words. */
export function toMessages(conversation, system) {
  const turns = conversation.turns
    .map(({ role, content, choices }) => ({ role, content: content ?? choices?.[0]?.content ?? "" }))
    .filter(({ content }) => content);
  return system ? [{ role: "system", content: system }, ...turns] : turns;
}

/** 128 random bits; crypto.randomUUID is missing where the page is not on https or localhost. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
