/**
 * Joins the chunks of an answer. No I/O, no DOM. Use it with manycast.js, which also works without it.
 */

// An index from a provider may be any number. A list with a place for each up to 1e9 would stop the page.
const MOST = 128; // choices of an answer, which is OpenAI's limit, and tool calls of a choice

/**
 * The answer of one epoch, by choice. Call `clear()` on `restart` and `gap`.
 *
 * `choices[i]` is `{index, content, reasoning, refusal, tool_calls, executed_tools, finish_reason}`. A call has `at`: how many
 * characters of `content` came before it, and `order`: how many calls. An index that is no number from 0 to 127
 * gets the next free place; after 128 choices there is none.
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
      const choice = findPlace(this.choices, index, () => emptyChoice(index));
      if (!choice) continue;
      choice.content += delta?.content || delta?.audio?.transcript || ""; // models that speak send their words so
      // Not part of OpenAI's API: DeepSeek and vLLM send `reasoning_content`, OpenRouter and Ollama send `reasoning`.
      choice.reasoning += delta?.reasoning_content || (typeof delta?.reasoning === "string" ? delta.reasoning : "");
      choice.refusal += delta?.refusal ?? "";
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      for (const part of delta?.tool_calls ?? []) addToolCall(choice, part);
      for (const part of delta?.executed_tools ?? []) addExecutedTool(choice, part);
      // A client of OpenAI's older `functions` gets its call in this form.
      if (delta?.function_call) addToolCall(choice, { function: delta.function_call });
    }
  }

  /** The text of choice 0. */
  get text() {
    return this.choices[0]?.content ?? "";
  }
}

function emptyChoice(index) {
  return { index, content: "", reasoning: "", refusal: "", tool_calls: [], executed_tools: [], finish_reason: null };
}

function addToolCall(choice, part) {
  const call = findPlace(choice.tool_calls, part.index ?? 0, () => emptyCall(placeIn(choice)));
  if (!call) return;
  call.id ??= part.id ?? null;
  call.type = part.type ?? call.type;
  call.function.name ||= part.function?.name ?? "";
  call.function.arguments += part.function?.arguments ?? "";
}

const emptyCall = (place) => ({ id: null, type: "function", function: { name: "", arguments: "" }, ...place });

/** Where a new call stands: after how much text, and after how many calls. */
const placeIn = ({ content, tool_calls, executed_tools }) => ({ at: content.length, order: tool_calls.length + executed_tools.length });

/** A tool that the provider, or a generator, has called itself: Groq sends it with its `output`, also in two steps. */
function addExecutedTool(choice, part) {
  const tool = findPlace(choice.executed_tools, part.index ?? 0, () => ({ name: "", arguments: "", output: "", ...placeIn(choice) }));
  if (!tool) return;
  tool.name ||= part.name ?? part.type ?? "";
  tool.arguments = toText(part.arguments) || tool.arguments;
  tool.output = toText(part.output) || tool.output;
}

const toText = (value) => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));

const places = new WeakMap(); // for each list: a map from the indexes of a provider to places in the list

/** The item of `list` that belongs to an index, made by `make` if it is new. Returns undefined if the list is full. */
function findPlace(list, index, make) {
  if (!places.has(list)) places.set(list, new Map());
  const known = places.get(list);
  if (!known.has(index)) {
    const isFree = Number.isInteger(index) && index >= 0 && index < MOST && !(index in list);
    const place = isFree ? index : list.length;
    if (place >= MOST) return undefined;
    known.set(index, place);
    list[place] = make();
  }
  return list[known.get(index)];
}
