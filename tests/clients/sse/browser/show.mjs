// What a page with a client that is like EventSource does: it shows the text, and closes the client at the end.
const answer = document.getElementById("answer");
export const url = new URL(new URLSearchParams(location.search).get("events"), location.href).href;

export function show(source) {
  source.addEventListener("chunk", (event) => {
    answer.textContent += JSON.parse(event.data).choices[0]?.delta.content ?? "";
  });
  source.addEventListener("done", (event) => {
    source.close();
    answer.dataset.status = JSON.parse(event.data).status;
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) answer.dataset.status = "closed";
  });
}
