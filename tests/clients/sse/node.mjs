// `node node.mjs WATCHES`: WATCHES is JSON, a list of {client, scenario, url}. Prints a line of JSON for each change.
import * as eventsource from "eventsource";
import { createEventSource } from "eventsource-client";
import { EventSourceParserStream } from "eventsource-parser/stream";
import launchdarkly from "launchdarkly-eventsource";

const isClosed = (source) => source.readyState === 2;

function show(source, answer) {
  source.addEventListener("chunk", (event) => answer.add(event.data));
  source.addEventListener("done", (event) => {
    answer.end(JSON.parse(event.data).status);
    source.close();
  });
  source.addEventListener("error", () => isClosed(source) && answer.end("closed"));
  source.addEventListener("closed", () => answer.end("closed"));
}

const clients = {
  eventsource: (url, answer) => show(new eventsource.EventSource(url), answer),
  "launchdarkly-eventsource": (url, answer) => show(new launchdarkly.EventSource(url), answer),
  "eventsource-client": (url, answer) => {
    const source = createEventSource({
      url,
      onMessage({ event, data }) {
        if (event === "chunk") answer.add(data);
        if (event === "done") {
          answer.end(JSON.parse(data).status);
          source.close();
        }
      },
    });
  },
  // A parser and no client: one request, as its README shows.
  "eventsource-parser": async (url, answer) => {
    const response = await fetch(url);
    if (!response.ok) return answer.end(`status ${response.status}`);
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const { event, data } of events) {
      if (event === "chunk") answer.add(data);
      if (event === "done") answer.end(JSON.parse(data).status);
    }
    answer.end("returned");
  },
};

class Answer {
  #said;
  #text = "";
  #end = null;

  constructor(said) {
    this.#said = said;
  }

  add(data) {
    this.#text += JSON.parse(data).choices[0]?.delta.content ?? "";
    this.#print();
  }

  end(how) {
    this.#end ??= how;
    this.#print();
  }

  #print() {
    console.log(JSON.stringify({ ...this.#said, text: this.#text, end: this.#end }));
  }
}

for (const { client, scenario, url } of JSON.parse(process.argv[2])) {
  const answer = new Answer({ client, scenario });
  Promise.resolve(clients[client](url, answer)).catch((error) => answer.end(error.name));
}
