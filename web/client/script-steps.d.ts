// Types of script-steps.js. docs/protocol.md, section 14, specifies the events.

import type { Answer } from "./answer.js";

/** One step, question or event of a script. */
export interface ScriptNode {
  /** Its place in the script. */
  id: string;
  kind: "generate" | "tool" | "part" | "script" | "input" | "emit";
  /** The name of a step or an event; the words of a question. */
  name: string;
  /** Of a step: `running`, `done`, `failed`. Of a question: `asked`, `answered`, `timed_out`. Of an event: "". */
  state: string;
  /** The fields of its events, the last ones in place of earlier ones. */
  told: Record<string, any>;
  /** What its model says. */
  answer: Answer;
  /** In the order of their places. */
  children: ScriptNode[];
  parent: ScriptNode | null;
}

/** What a script has done so far. */
export class ScriptSteps {
  roots: ScriptNode[];
  nodes: Map<string, ScriptNode>;
  /** The step or question that began last. */
  last: ScriptNode | null;
  /** Call it on `gap`. */
  clear(): void;
  /** Takes the data of a `step`, `input` or `emit` event. Returns the node that has changed. */
  take(event: string, data: Record<string, any>): ScriptNode | null;
  /** Takes a chunk of the answer, which may be the text of a step. */
  takeChunk(chunk: Record<string, any>): ScriptNode | null;
  /** Call it on `restart`: the texts in the answer are void. */
  voidAnswer(): void;
  /** All nodes in the order of the tree. */
  walk(nodes?: ScriptNode[]): Generator<ScriptNode>;
}

/** Negative if the call `one` comes before `other` in the script. */
export function comparePlaces(one: string, other: string): number;
/** What a step has brought: the text of a model, or the result of a tool. */
export function resultOf(node: ScriptNode): string;
