// OpenAI's Node SDK: `client.responses` at two gateways.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [here, there] = process.argv
  .slice(2)
  .map((url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 }));
const ask = { model: "demo", input: "Tell me about rivers" };

const whole = await here.responses.create(ask);
assert.equal(whole.status, "completed");
assert.match(whole.output_text, /rivers/);

const format = zodTextFormat(z.object({ name: z.string() }), "river");
const parsed = await here.responses.parse({ ...ask, text: { format } });
assert.deepEqual(parsed.output_parsed, { name: "rivers" });

const folding = here.responses.stream({ ...ask, model: "demo-reasoning" });
let text = "";
folding.on("response.output_text.delta", ({ delta }) => (text += delta));
assert.equal((await folding.finalResponse()).output_text, text);

const slow = { ...ask, model: "demo-long", background: true };
const long = { simulator: { chunks: 60, chunks_per_s: 60, first_chunk_ms: 0 } };
const seen = [];
for await (const event of await here.responses.create({ ...slow, ...long, stream: true })) {
  seen.push(event);
  if (event.sequence_number === 20) break;
}
const { id } = seen[0].response;
for await (const event of await there.responses.retrieve(id, { stream: true, starting_after: 20 })) seen.push(event);
assert.deepEqual(
  seen.map((event) => event.sequence_number),
  seen.map((_, number) => number),
);
assert.equal(seen.at(-1).type, "response.completed");
assert.deepEqual((await there.responses.retrieve(id)).output, seen.at(-1).response.output);

const endless = await here.responses.create({ ...slow, simulator: { chunks: 2000, chunks_per_s: 20 } });
assert.equal((await there.responses.cancel(endless.id)).status, "cancelled");
await here.responses.delete(endless.id);
await assert.rejects(there.responses.retrieve(endless.id), OpenAI.NotFoundError);
