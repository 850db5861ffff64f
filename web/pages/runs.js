/**
 * The developers' page: the latest runs, and one of them in full. The composition root of runs.html.
 */

import { readLatestStreams } from "./api.js";
import { openStorage } from "./conversations.js";
import { find, make } from "./element.js";
import { drawIcons } from "./icons.js";
import { RunView } from "./run-view.js";
import { applyKeptTheme } from "./settings.js";
import { describeAge, describeMilliseconds, describeRuns, describeStatus } from "./run-words.js";
import { fillPage, loadMoreWords, loadWords, say, writeNumber } from "./say.js";

const REFRESH_MS = 1500;
const LATEST = 50;

class Runs {
  constructor() {
    this.view = null;
    this.latest = [];
  }

  /** Reads the list again and again while the page is visible. */
  async keepUp() {
    await this.refresh();
    if (document.visibilityState === "visible") setTimeout(() => this.keepUp(), REFRESH_MS);
    else document.addEventListener("visibilitychange", () => this.keepUp(), { once: true });
  }

  async refresh() {
    const trouble = find("#trouble");
    try {
      this.latest = await readLatestStreams(LATEST);
      trouble.hidden = true;
    } catch (error) {
      trouble.replaceChildren(error.message, ...(error.status === 401 ? [" ", make("a", { href: "./" }, say("sign_in.button"))] : []));
      trouble.hidden = false;
    }
    this.#draw();
  }

  /** Show the run of the URL. */
  open() {
    const shown = location.hash.slice(1); // the id of a run, and behind a comma that of another one to compare it with
    const [id, other] = shown.split(",");
    const run = this.latest.find((each) => each.id === id);
    if (this.shown !== shown || !this.view) {
      this.shown = shown;
      this.view?.close();
      this.view = run ? new RunView(run, other) : null;
      const detail = find("#detail");
      detail.replaceChildren(...(this.view ? [this.view.element] : []));
      detail.hidden = !this.view;
      document.body.classList.toggle("comparing", Boolean(run && other));
      // On a phone, the run is below the list.
      if (this.view && detail.getBoundingClientRect().top > innerHeight / 2) detail.scrollIntoView();
    }
    this.view?.offer(this.latest);
    for (const row of find("#rows").rows) row.toggleAttribute("aria-current", row.dataset.id === id);
  }

  #draw() {
    const running = this.latest.filter(({ status }) => status === "running" || status === "queued").length;
    find("#summary").textContent = describeRuns(this.latest.length, running);
    find("#nothing").hidden = this.latest.length > 0;
    const focused = document.activeElement?.closest("tr")?.dataset.id;
    find("#rows").replaceChildren(...this.latest.map(drawRow));
    if (focused) find(`tr[data-id="${CSS.escape(focused)}"] a`)?.focus();
    this.open();
    const shown = this.latest.find(({ id }) => id === this.view?.run.id);
    if (shown) this.view.show(shown);
  }
}

function drawRow(run) {
  const { id, status, prompt, model, timing, position, viewers, created_at } = run;
  const link = make("a", { href: `#${id}` }, prompt || id);
  const open = (event) => event.target !== link && link.click(); // the whole row is a target for a finger
  return make(
    "tr",
    { "data-id": id, onclick: open },
    make("td", {}, make("span", { class: `status status-${status}` }, describeStatus(status))),
    make("td", { class: "prompt" }, link),
    make("td", {}, model || say("run.default")),
    make("td", { class: "number" }, describeMilliseconds(timing?.first_chunk_ms)),
    make("td", { class: "number" }, writeNumber(Math.max(0, Number(position.split("-")[1]) - 1))),
    make("td", { class: "number" }, String(viewers ?? 0)),
    make("td", { class: "number" }, describeAge(created_at)),
  );
}

async function main() {
  applyKeptTheme(openStorage());
  await Promise.all([loadWords(), loadMoreWords()]);
  fillPage();
  drawIcons();
  const runs = new Runs();
  addEventListener("hashchange", () => runs.open());
  await runs.keepUp();
  document.documentElement.dataset.ready = "";
}

main();
