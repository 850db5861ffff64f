// Types of answer.js.

export interface Choice {
  index: number;
  content: string;
  reasoning: string;
  refusal: string;
  tool_calls: { id: string | null; type: string; function: { name: string; arguments: string } }[];
  finish_reason: string | null;
}

export class Answer {
  choices: Choice[];
  usage: Record<string, unknown> | null;
  model: string | null;
  readonly text: string;
  add(chunk: Record<string, any>): void;
  clear(): void;
}
