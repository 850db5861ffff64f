/**
 * Shows a finished answer again, at its original pace.
 *
 * Chunks have no timestamps. If the worker counted the chunks of each second (`timing.pace`), they are spread evenly within
 * each second; otherwise over the duration of the run.
 */

const USUAL_TOTAL_MS = 5000;

export class Replay {
  constructor() {
    this.forget();
    this.running = false;
  }

  record(chunk) {
    this.chunks.push(chunk);
  }

  forget() {
    this.chunks = [];
  }

  /**
   * Show the answer again in `reply`. Resolves at its end, or after `finish()`.
   *
   * @param {object|null} timing  of `done`, milliseconds
   */
  async run(reply, timing) {
    this.running = true;
    reply.over = false;
    reply.rewind();
    reply.element.dataset.state = "streaming";
    const times = schedule(this.chunks.length, timing);
    const begun = performance.now();
    let shown = 0;
    while (shown < this.chunks.length) {
      const now = this.running ? performance.now() - begun : Infinity;
      while (shown < this.chunks.length && times[shown] <= now) reply.add(this.chunks[shown++]);
      if (shown < this.chunks.length) await new Promise(requestAnimationFrame);
    }
    reply.over = true;
    reply.element.dataset.state = "ended";
    reply.drawSoon();
    this.running = false;
  }

  /** Show the rest at once. */
  finish() {
    this.running = false;
  }
}

/** Milliseconds from the first chunk to each. */
function schedule(count, timing) {
  const times = (timing?.pace ?? []).flatMap((chunks, second) =>
    Array.from({ length: chunks }, (_, number) => (second + number / chunks) * 1000),
  );
  if (times.length >= count) return times;
  const total = (timing?.total_ms ?? USUAL_TOTAL_MS) - (timing?.first_chunk_ms ?? 0);
  return Array.from({ length: count }, (_, number) => (number / count) * total);
}
