/**
 * Exports conversations as Markdown or JSON, and imports them. Loaded when it is used.
 */

import { textOf } from "./conversations.js";
import { say } from "./say.js";

const FORMAT = "manycast-conversations";

/** All conversations as JSON, without what only this browser may have: the URLs that stop a run. */
export function toJson(conversations) {
  const stripped = conversations.map((each) => ({ ...each, turns: each.turns.map(({ cancel: _, ...turn }) => turn) }));
  return JSON.stringify({ format: FORMAT, version: 1, conversations: stripped }, null, 1);
}

/** All conversations as one Markdown text. */
export function toMarkdown(conversations) {
  const parts = conversations.map(({ title, turns }) => {
    const headingOf = ({ role, model }) => (role === "user" ? say("question.label") : [say("answer.label"), model].filter(Boolean).join(", "));
    const each = turns.map((turn) => `## ${headingOf(turn)}\n\n${textOf(turn)}\n`);
    return [`# ${title || say("list.untitled")}\n`, ...each].join("\n");
  });
  return parts.join("\n---\n\n");
}

/** The conversations of an exported JSON. Throws an Error that people can read if it is something else. */
export function fromJson(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(say("archive.not_json"));
  }
  if (data?.format !== FORMAT || !Array.isArray(data.conversations)) throw new Error(say("archive.foreign"));
  return data.conversations.map(readConversation);
}

/** Only what the page knows, in the types that it expects: a file may contain anything. */
function readConversation(given) {
  const turns = Array.isArray(given?.turns) ? given.turns.map(readTurn) : [];
  if (!/^[0-9a-f]{32}$/.test(given?.id)) throw new Error(say("archive.no_id"));
  const ids = Array.isArray(given.removed) ? given.removed.map(String) : [];
  return { id: given.id, title: text(given.title), titled: number(given.titled), updated: number(given.updated), turns, removed: ids };
}

function readTurn(given, index) {
  const turn = { id: text(given?.id) || `t${index}`, at: number(given?.at) || index };
  if (given?.role === "user") return { ...turn, role: "user", content: text(given.content) };
  const choices = Array.isArray(given?.choices) ? given.choices.map(readChoice) : [];
  // An answer under way is shown as far as it was.
  const done = given?.done && typeof given.done === "object" ? given.done : { status: "cancelled" };
  const stream = typeof given?.stream === "string" ? given.stream : null;
  return { ...turn, role: "assistant", stream, choices, model: text(given?.model) || null, done };
}

function readChoice(given, index) {
  const { content, reasoning, refusal, finish_reason, tool_calls, executed_tools } = given ?? {};
  const calls = (list) => (Array.isArray(list) ? list.filter((call) => call && typeof call === "object").map(readCall) : []);
  return {
    index, content: text(content), reasoning: text(reasoning), refusal: text(refusal), finish_reason: text(finish_reason) || null,
    tool_calls: calls(tool_calls), executed_tools: calls(executed_tools),
  };
}

function readCall(given) {
  const { name, arguments: words, output } = given.function ?? given;
  const place = { at: number(given.at), order: number(given.order) };
  if (!given.function) return { name: text(name), arguments: text(words), output: text(output), ...place };
  return { id: text(given.id), type: "function", function: { name: text(name), arguments: text(words) }, ...place };
}

const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : 0);

/** Offers a text as a file. */
export function saveFile(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Exports all conversations that `conversations` stores. `format`: "md" or "json". */
export function exportAll(conversations, format) {
  const all = conversations.list().map(({ id }) => conversations.load(id)).filter(Boolean);
  const [type, content] = format === "md" ? ["text/markdown", toMarkdown(all)] : ["application/json", toJson(all)];
  saveFile(`manycast-${new Date().toISOString().slice(0, 10)}.${format}`, type, content);
}

/** Imports a file. Returns how many conversations it contained. Throws as `fromJson`, and if there is no room. */
export async function importFile(conversations, file) {
  const found = fromJson(await file.text()).sort((one, other) => one.updated - other.updated);
  for (const each of found) {
    if (!conversations.save(each)) throw new Error(say("archive.no_room"));
  }
  return found.length;
}
