// As its README begins: without `onopen`, `onclose` and `onerror`.
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { url } from "./show.mjs";

const answer = document.getElementById("answer");
const ended = fetchEventSource(url, {
  openWhenHidden: true,
  onmessage({ event, data }) {
    const content = JSON.parse(data);
    if (event === "chunk") answer.textContent += content.choices[0]?.delta.content ?? "";
    if (event === "done") answer.dataset.status = content.status;
  },
});
await ended;
answer.dataset.status ??= "returned";
