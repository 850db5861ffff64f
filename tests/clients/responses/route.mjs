// `node route.mjs GATEWAY SITE PORT`: the server of an app with `useChat`: the pages of SITE, and the route that they ask,
// with a tool of its own and the AI SDK's default model of OpenAI, which calls /v1/responses.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, join } from "node:path";
import { createOpenAI } from "@ai-sdk/openai";
import { convertToModelMessages, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [gateway, site, port] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${gateway}/v1`, apiKey: "any" });
const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async () => "Sunny" });

async function answer(request, response) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const { messages } = JSON.parse(Buffer.concat(pieces));
  const result = streamText({
    model: openai("demo-reasoning"),
    messages: await convertToModelMessages(messages),
    tools: { get_weather: weather },
    stopWhen: stepCountIs(5),
    maxRetries: 0,
  });
  result.pipeUIMessageStreamToResponse(response);
}

async function serve(path, response) {
  const type = path.endsWith(".js") ? "text/javascript" : "text/html";
  const file = await readFile(join(site, basename(path))).catch(() => null); // browsers ask for an icon
  response.writeHead(file ? 200 : 404, { "content-type": type }).end(file);
}

createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (request.method === "POST") return answer(request, response);
  // This app keeps no answers: there is nothing to resume.
  if (pathname.startsWith("/api/")) return response.writeHead(204).end();
  return serve(pathname, response);
}).listen(port, "127.0.0.1");
