/**
 * Joins the chunks of an answer. No I/O, no DOM. Use it with manycast.js, which also works without it.
 */

/**
 * The answer of one epoch, by choice. Call `clear()` on `restart` and `gap`.
 *
 * `choices[i]` is `{index, content, reasoning, refusal, tool_calls, finish_reason}`.
 */
export class Answer {
  constructor() {
    this.clear();
  }

  clear() {
    this.choices = [];
    this.usage = null;
    this.model = null;
  }

  /** @param {object} chunk  a complete chunk, as `watch` passes it to `callbacks.chunk` */
  add(chunk) {
    this.model ??= chunk.model ?? null;
    this.usage = chunk.usage ?? this.usage;
    for (const { index = 0, delta = {}, finish_reason } of chunk.choices ?? []) {
      const choice = (this.choices[index] ??= emptyChoice(index));
      choice.content += delta?.content ?? "";
      // Not part of OpenAI's API: DeepSeek and vLLM send `reasoning_content`, OpenRouter and Ollama send `reasoning`.
      choice.reasoning += delta?.reasoning_content || (typeof delta?.reasoning === "string" ? delta.reasoning : "");
      choice.refusal += delta?.refusal ?? "";
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      for (const part of delta?.tool_calls ?? []) addToolCall(choice.tool_calls, part);
      // A client of OpenAI's older `functions` gets its call in this form.
      if (delta?.function_call) addToolCall(choice.tool_calls, { function: delta.function_call });
    }
  }

  /** The text of choice 0. */
  get text() {
    return this.choices[0]?.content ?? "";
  }
}

function emptyChoice(index) {
  return { index, content: "", reasoning: "", refusal: "", tool_calls: [], finish_reason: null };
}

function addToolCall(calls, part) {
  const call = (calls[part.index ?? 0] ??= { id: null, type: "function", function: { name: "", arguments: "" } });
  call.id ??= part.id ?? null;
  call.type = part.type ?? call.type;
  call.function.name ||= part.function?.name ?? "";
  call.function.arguments += part.function?.arguments ?? "";
}
