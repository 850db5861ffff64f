// Types of answer.js.

export interface Choice {
  index: number;
  content: string;
  reasoning: string;
  refusal: string;
  /** `at`: how many characters of `content` came before the call; `order`: how many calls. */
  tool_calls: { id: string | null; type: string; function: { name: string; arguments: string }; at: number; order: number }[];
  /** Tools that the provider, or a generator, has called itself, with their results. */
  executed_tools: { name: string; arguments: string; output: string; at: number; order: number }[];
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
