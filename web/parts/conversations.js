/**
 * Stores conversations in this browser only. No DOM.
 *
 * A conversation is `{id, title, titled, updated, turns, removed}`. A turn is `{id, at, role: "user", content}` or `{id, at,
 * role: "assistant", stream, cancel, choices, model, done}`: `done` is null while its stream may be running, and `cancel` is the
 * URL that stops the run, which no page shows. `at` orders the turns, `removed` lists the ids of replaced ones, `titled` is when
 * the reader chose the title.
 */

import { isPrivate } from "./api.js";

const PREFIX = "manycast:conversation:";
const INDEX = "manycast:conversations";

export class Conversations {
  /** @param {Storage|null} storage  null: the browser forbids storage; everything is lost when the page closes */
  constructor(storage) {
    this.storage = storage;
    this.unkept = new Map(); // what the storage has no room for
  }

  /** `[{id, title, updated}]`, latest first. */
  list() {
    return this.#read(INDEX) ?? [];
  }

  /** The conversations that contain all words of a text. */
  search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return this.list().filter(({ id, title }) => {
      if (words.length === 0 || has(title, words)) return true;
      const turns = this.load(id)?.turns ?? [];
      return has([title, ...turns.map(textOf)].join("\n"), words);
    });
  }

  /** The conversation, or null if it is not stored. */
  load(id) {
    const found = this.#read(PREFIX + id);
    // Turns of an earlier version have no ids.
    found?.turns.forEach((turn, index) => Object.assign(turn, { id: turn.id ?? `t${index}`, at: turn.at ?? index }));
    return found;
  }

  /** Stores a conversation, together with what other tabs have added to it. Returns whether there was room. */
  save(conversation) {
    conversation.updated = Date.now();
    const stored = this.load(conversation.id);
    if (stored) Object.assign(conversation, mergeConversations(conversation, stored));
    const { id, title, updated } = conversation;
    const isKept = this.#write(PREFIX + id, conversation);
    return this.#write(INDEX, [{ id, title, updated }, ...this.list().filter((other) => other.id !== id)]) && isKept;
  }

  remove(id) {
    this.#forget(PREFIX + id);
    this.#write(INDEX, this.list().filter((other) => other.id !== id));
  }

  /** Whether another tab has changed or removed this conversation: an event of the storage. */
  static isAbout(event, { id }) {
    return event.key === PREFIX + id;
  }

  #read(key) {
    const text = this.unkept.get(key) ?? this.storage?.getItem(key);
    try {
      return text ? JSON.parse(text) : null;
    } catch {
      return null; // not our data, or from a later version
    }
  }

  #write(key, value) {
    const text = JSON.stringify(value);
    try {
      this.storage?.setItem(key, text);
      if (this.storage) return this.unkept.delete(key) || true;
    } catch {
      // no room
    }
    this.unkept.set(key, text);
    return this.storage === null;
  }

  #forget(key) {
    this.storage?.removeItem(key);
    this.unkept.delete(key);
  }
}

const has = (text, words) => words.every((word) => text.toLowerCase().includes(word));

/** The text of a turn. */
export const textOf = ({ content, choices }) => content ?? choices?.[0]?.content ?? "";

/** Both versions of a conversation in one, with the turns of `ours` as they are. */
export function mergeConversations(ours, theirs) {
  const removed = [...new Set([...(ours.removed ?? []), ...(theirs.removed ?? [])])];
  const turns = new Map(ours.turns.map((turn) => [turn.id, turn]));
  for (const turn of theirs.turns) {
    const known = turns.get(turn.id);
    if (!known) turns.set(turn.id, turn);
    else if (turn.done && !known.done) Object.assign(known, turn); // the other tab has seen its end
  }
  const kept = [...turns.values()].filter(({ id }) => !removed.includes(id));
  const titled = (ours.titled ?? 0) >= (theirs.titled ?? 0) ? ours : theirs;
  return {
    title: titled.title || ours.title || theirs.title,
    titled: titled.titled ?? 0,
    turns: kept.sort((one, other) => one.at - other.at),
    removed,
  };
}

/** The address of a conversation. It names the last answer that anyone may watch, because another browser has nothing else. */
export function addressOf({ id, turns }) {
  const { stream } = turns.findLast((turn) => turn.stream && !isPrivate(turn.stream)) ?? {};
  return stream ? `./#${id}.${stream}` : `./#${id}`;
}

export function newConversation() {
  return { id: randomId(), title: "", titled: 0, updated: 0, turns: [], removed: [] };
}

/** Adds a question. */
export function addQuestion({ turns }, content) {
  turns.push({ id: randomId(), at: Math.max(Date.now(), (turns.at(-1)?.at ?? 0) + 1), role: "user", content });
}

/** Adds an answer, right after its question. Returns its turn. */
export function addAnswer({ turns }, fields) {
  const question = turns.findLast(({ role }) => role === "user");
  const turn = { id: randomId(), at: (question?.at ?? Date.now()) + 0.5, role: "assistant", choices: [], done: null, ...fields };
  turns.splice(question ? turns.indexOf(question) + 1 : turns.length, 0, turn);
  return turn;
}

/** Removes the last turn, in every tab. */
export function removeLast(conversation) {
  const { id } = conversation.turns.pop();
  (conversation.removed ??= []).push(id);
}

const DRAFT = "manycast:draft:";

/** What is typed and not sent, by conversation. `storage`: that of the tab, or null. */
export const readDraft = (storage, key) => storage?.getItem(DRAFT + key) ?? "";

export function keepDraft(storage, key, text) {
  try {
    storage?.setItem(DRAFT + key, text);
  } catch {
    // no room
  }
}

/** A storage of the browser, or null if the browser forbids it. */
export function openStorage(name = "localStorage") {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}

/** The messages for the model: the system prompt and all turns with text. */
export function toMessages(conversation, system) {
  const turns = conversation.turns.map((turn) => ({ role: turn.role, content: textOf(turn) })).filter(({ content }) => content);
  return system ? [{ role: "system", content: system }, ...turns] : turns;
}

/** 128 random bits. crypto.randomUUID exists only on https and localhost. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
