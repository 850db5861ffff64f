/**
 * A finished answer, shown again at the pace it was written in.
 *
 * Chunks that were watched live have their own times. Those that came at once, to a late viewer, are spread evenly over
 * the time the run took: the log holds no times.
 */

const AT_ONCE_MS = 20; // chunks closer together than this came in one piece
const USUAL_TOTAL_MS = 5000;

export class Replay {
  constructor() {
    this.forget();
    this.running = false;
  }

  record(chunk) {
    this.chunks.push({ chunk, at: performance.now() });
  }

  forget() {
    this.chunks = [];
  }

  /**
   * Show it again in `reply`. Resolves at its end, or after `finish()`.
   *
   * @param {object|null} timing  of `done`, milliseconds
   */
  async run(reply, timing) {
    this.running = true;
    reply.over = false;
    reply.rewind();
    reply.element.dataset.state = "streaming";
    const times = this.#pace((timing?.total_ms ?? USUAL_TOTAL_MS) - (timing?.first_chunk_ms ?? 0));
    const begun = performance.now();
    let shown = 0;
    while (shown < this.chunks.length) {
      const now = this.running ? performance.now() - begun : Infinity;
      while (shown < this.chunks.length && times[shown] <= now) reply.add(this.chunks[shown++].chunk);
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

  /** Milliseconds from the first chunk to each. */
  #pace(total) {
    const { chunks } = this;
    const first = chunks[0]?.at ?? 0;
    const live = chunks.at(-1).at - first > Math.min(total, chunks.length * AT_ONCE_MS) / 2;
    return chunks.map(({ at }, index) => (live ? at - first : (index / chunks.length) * total));
  }
}
