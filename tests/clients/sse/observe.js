// Reports what a page shows: a line of JSON on the console for each change.
const observed = document.getElementById("answer");
const { client, scenario } = Object.fromEntries(new URLSearchParams(location.search));
const report = () =>
  console.log(JSON.stringify({ client, scenario, text: observed.textContent, end: observed.dataset.status ?? null }));
new MutationObserver(report).observe(observed, { attributes: true, characterData: true, childList: true, subtree: true });
addEventListener("error", (event) => (observed.dataset.status = event.message));
addEventListener("unhandledrejection", (event) => (observed.dataset.status = String(event.reason)));
