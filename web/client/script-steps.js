/**
 * What a script has done so far, from the events of its run (docs/protocol.md, section 14). No I/O, no DOM.
 */

import { Answer } from "./answer.js";

/**
 * One step, question or event of a script. `children` are in the order of their places.
 *
 * @typedef {object} ScriptNode
 * @property {string} id  its place in the script
 * @property {string} kind  `generate`, `tool`, `part`, `script`, `input`, `emit`
 * @property {string} name
 * @property {string} state  of a step: `running`, `done`, `failed`; of a question: `asked`, `answered`, `timed_out`
 * @property {object} told  the fields of its events
 * @property {Answer} answer  what its model says
 * @property {ScriptNode[]} children
 * @property {ScriptNode | null} parent
 */

export class ScriptSteps {
  constructor() {
    this.clear();
  }

  clear() {
    /** @type {ScriptNode[]} */
    this.roots = [];
    /** @type {Map<string, ScriptNode>} */
    this.nodes = new Map();
    /** @type {ScriptNode | null} the step or question that began last */
    this.last = null;
  }

  /**
   * Take the data of a `step`, `input` or `emit` event. Returns the node that has changed, or null.
   *
   * @returns {ScriptNode | null}
   */
  take(event, data) {
    if (event === "step") return this.#takeStep(data);
    if (event === "input") return this.#takeInput(data);
    return event === "emit" ? this.#add(data.id, "emit", data.name, data.step, data) : null;
  }

  /** Take a chunk of the answer, which may be the text of a step. */
  takeChunk(chunk) {
    const node = this.nodes.get(chunk.manycast?.step);
    if (node?.kind === "generate") node.answer.add(chunk);
    return node ?? null;
  }

  /** The answer begins again: the texts in it are void. */
  voidAnswer() {
    for (const node of this.nodes.values()) if (node.told.said) node.answer.clear();
  }

  /** All nodes in the order of the tree. */
  *walk(nodes = this.roots) {
    for (const node of nodes) {
      yield node;
      yield* this.walk(node.children);
    }
  }

  #takeStep(data) {
    const node = this.nodes.get(data.id);
    if (data.state === "begin") {
      if (node) return node;
      const added = this.#add(data.id, data.kind, data.name, data.parent, data);
      added.state = "running";
      this.last = added;
      return added;
    }
    if (!node) return null;
    if (data.state === "chunk") node.answer.add(data);
    if (data.state === "restart") {
      node.answer.clear();
      node.state = "running";
    }
    if (data.state === "end") {
      Object.assign(node.told, data);
      node.state = data.error || data.failed ? "failed" : "done";
    }
    return node;
  }

  #takeInput(data) {
    let node = this.nodes.get(data.id);
    if (!node && data.state !== "asked") return null;
    node ??= this.#add(data.id, "input", data.question, data.step, data);
    if (data.state === "asked" && node.state === "") this.last = node;
    const problem = data.state === "refused" ? data.problem : "";
    Object.assign(node.told, data, { problem });
    node.state = data.state === "refused" ? "asked" : data.state;
    return node;
  }

  #add(id, kind, name, parent, told) {
    const outer = this.nodes.get(parent) ?? null;
    const node = { id, kind, name, state: "", told: { ...told }, answer: new Answer(), children: [], parent: outer };
    const siblings = outer ? outer.children : this.roots;
    const after = siblings.findIndex((each) => comparePlaces(id, each.id) < 0);
    siblings.splice(after < 0 ? siblings.length : after, 0, node);
    this.nodes.set(id, node);
    return node;
  }
}

/** Negative if the call `one` comes before `other` in the script. */
export function comparePlaces(one, other) {
  const [a, b] = [one, other].map((id) => id.split(".").map(Number));
  for (let depth = 0; depth < Math.min(a.length, b.length); depth += 1) if (a[depth] !== b[depth]) return a[depth] - b[depth];
  return a.length - b.length;
}

/** What a step has brought: the text of a model, or the result of a tool. */
export const resultOf = ({ kind, answer, told }) => (kind === "tool" ? (told.result ?? "") : answer.text);
