// The official Node SDK: the gateway instead of the provider, and nothing else is different.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as wait } from "node:timers/promises";
import OpenAI from "openai";
import { Stream } from "openai/streaming";

const ask = { messages: [{ role: "user", content: "Tell me about rivers" }] };
const seeded = { ...ask, simulator: { seed: 7 } };
const client = (url, options = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0, ...options });

async function read(openai, request) {
  const chunks = [];
  for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) {
    const { id, created, ...rest } = chunk;
    for (const choice of rest.choices) for (const call of choice.delta.tool_calls ?? []) delete call.id;
    chunks.push(rest);
  }
  return chunks;
}

export async function streams({ gateway, provider }) {
  for (const model of ["demo-fast", "demo-tools", "demo-reasoning", "demo-choices", "fault-surrogate"]) {
    const request = { ...seeded, model, stream_options: { include_usage: model !== "demo-tools" } };
    assert.deepEqual(await read(client(gateway), request), await read(client(provider), request));
  }
}

export async function keptConnection({ gateway }) {
  let opened = 0;
  const count = ({ connectParams }) => (opened += gateway.endsWith(connectParams.host) ? 1 : 0);
  const openai = client(gateway);
  const request = { ...seeded, model: "demo-fast" };
  subscribe("undici:client:connected", count);
  for (let call = 0; call < 6; call += 1) await read(openai, request);
  unsubscribe("undici:client:connected", count);
  // The SDK stops reading at [DONE]. Its next call may come before the end of the answer, and needs a second connection.
  assert.ok(opened <= 2, `${opened} connections for six calls`);
  // Node closes an idle connection after four seconds. A server that closed it after five would be in the way of some.
  for (const pause of [3900, 4100, 4900, 5100]) {
    await wait(pause);
    await read(openai, request);
  }
}

export async function whole({ gateway, provider }) {
  const request = { ...seeded, model: "demo-choices", n: 2, logprobs: true };
  const got = await client(gateway).chat.completions.create(request);
  const expected = await client(provider).chat.completions.create(request);
  assert.deepEqual(got.usage, expected.usage);
  assert.deepEqual(
    got.choices.map((choice) => [choice.message.content, choice.finish_reason, choice.logprobs]),
    expected.choices.map((choice) => [choice.message.content, choice.finish_reason, choice.logprobs]),
  );
}

export async function folding({ gateway }) {
  const stream = client(gateway).chat.completions.stream({ ...ask, model: "demo-tools" });
  const [choice] = (await stream.finalChatCompletion()).choices;
  assert.equal(choice.message.tool_calls.length, 2);
  for (const call of choice.message.tool_calls) JSON.parse(call.function.arguments);
}

export async function quirks({ gateway, quirky }) {
  assert.ok(quirky.length > 20);
  for (const model of quirky) {
    const completion = await client(gateway).chat.completions.stream({ ...ask, model }).finalChatCompletion();
    const { finish_reason, message } = completion.choices[0];
    const calls = message.tool_calls ?? [];
    assert.equal(message.content || "", calls.length ? "" : "Hello world", model);
    assert.equal(finish_reason, calls.length ? "tool_calls" : "stop", model);
    for (const call of calls) assert.ok(["city", "zone"].includes(Object.keys(JSON.parse(call.function.arguments))[0]), model);
  }
}

export async function refusals({ gateway, provider }) {
  for (const model of ["fault-401", "fault-429", "fault-500", "no-such-model"]) {
    const request = { ...ask, model, simulator: { failures: 1000 } };
    for (const stream of [false, true]) {
      const raised = [];
      for (const url of [provider, gateway]) {
        await client(url).chat.completions.create({ ...request, stream }).catch((error) => raised.push(error));
      }
      const [expected, got] = raised;
      assert.equal(got.constructor, expected.constructor);
      assert.deepEqual([got.status, got.type, got.message], [expected.status, expected.type, expected.message]);
    }
  }
}

export async function failures({ gateway }) {
  const codes = {
    "fault-drop": "upstream_disconnected",
    "fault-truncated": "upstream_truncated",
    "fault-error-frame": "server_error",
    "fault-garbage": "upstream_invalid",
    "fault-stall-middle": "upstream_timeout",
  };
  for (const [model, code] of Object.entries(codes)) {
    let seen = 0;
    const reading = (async () => {
      for await (const _ of await client(gateway).chat.completions.create({ ...ask, model, stream: true })) seen += 1;
    })();
    await assert.rejects(reading, (error) => error instanceof OpenAI.APIError && error.code === code);
    assert.ok(seen >= 12);
  }
}

export async function retries({ gateway, provider }) {
  const count = async () => (await (await fetch(`${provider}/simulator/stats`)).json()).models["demo-long"]?.requests ?? 0;
  const before = await count();
  const request = { ...ask, model: "demo-long", simulator: { chunks: 400, chunks_per_s: 200, first_chunk_ms: 0 } };
  // The SDK's own option `idempotencyKey` sends nothing: OpenAI has no such header.
  const impatient = { headers: { "Idempotency-Key": randomUUID() }, timeout: 700, maxRetries: 9 };
  const [choice] = (await client(gateway).chat.completions.create(request, impatient)).choices;
  assert.equal(choice.finish_reason, "stop");
  assert.equal(await count(), before + 1);
}

export async function abort({ gateway }) {
  const request = { ...ask, model: "demo-long", stream: true, simulator: { chunks_per_s: 20 } };
  const headers = { "X-On-Disconnect": "cancel" };
  const { data, response } = await client(gateway).chat.completions.create(request, { headers }).withResponse();
  for await (const _ of data) data.controller.abort();
  const status = async () =>
    (await (await fetch(`${gateway}/v1/streams/${response.headers.get("x-stream-id")}`)).json()).status;
  while ((await status()) === "running") await wait(50);
  assert.equal(await status(), "cancelled");
}

export async function watching({ gateway }) {
  const request = { ...ask, model: "demo-fast" };
  const { data, response } = await client(gateway).chat.completions.create(request).withResponse();
  const url = `${gateway}/v1/streams/${response.headers.get("x-stream-id")}/events?dialect=openai`;
  let text = "";
  for await (const chunk of Stream.fromSSEResponse(await fetch(url), new AbortController())) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  assert.equal(text, data.choices[0].message.content);
}

export async function models({ gateway }) {
  const listed = [];
  while (!listed.length) for await (const model of client(gateway).models.list()) listed.push(model.id);
  assert.ok(listed.includes("demo"));
  assert.equal((await client(gateway).models.retrieve("demo")).id, "demo");
  await assert.rejects(client(gateway).models.retrieve("gpt-9"), OpenAI.NotFoundError);
}

export async function keepAlives({ hasty }) {
  const slow = { chunks: 3, first_chunk_ms: 700, chunks_per_s: 2, jitter: 0 };
  const chunks = await read(client(hasty), { ...ask, model: "demo-long", simulator: slow });
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
}

export async function passThrough({ gateway, provider }) {
  const calls = {
    base64: (openai) => openai.embeddings.create({ model: "demo", input: ["one", "two"], dimensions: 64 }),
    float: (openai) => openai.embeddings.create({ model: "demo", input: "one", encoding_format: "float" }),
    text: (openai) => openai.completions.create({ model: "demo-fast", prompt: "rivers", max_tokens: 40 }),
    moderation: (openai) => openai.moderations.create({ input: ["peace", "violence"] }),
  };
  for (const [name, call] of Object.entries(calls)) {
    const [got, expected] = [await call(client(gateway)), await call(client(provider))];
    for (const answer of [got, expected]) {
      delete answer.id;
      delete answer.created;
    }
    assert.deepEqual(got, expected, name);
  }
  const texts = [];
  for (const url of [gateway, provider]) {
    let text = "";
    const request = { model: "demo-fast", prompt: "rivers", max_tokens: 40, stream: true };
    for await (const chunk of await client(url).completions.create(request)) text += chunk.choices[0].text;
    texts.push(text);
  }
  assert.ok(texts[0]);
  assert.equal(texts[0], texts[1]);
  for (const model of ["fault-401", "fault-500", "no-such-model"]) {
    const raised = [];
    for (const url of [provider, gateway]) {
      await client(url).embeddings.create({ model, input: "x" }).catch((error) => raised.push(error));
    }
    assert.equal(raised[1].constructor, raised[0].constructor);
    assert.deepEqual([raised[1].status, raised[1].message], [raised[0].status, raised[0].message]);
  }
}
