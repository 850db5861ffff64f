/**
 * The worker behind shared.js: one line per stream for all tabs that have none of their own. No DOM; it ends with the
 * last tab.
 */

import { isAfter, watch } from "./manycast.js";

const lines = new Map(); // by address

class Line {
  constructor(url, options) {
    this.url = url;
    this.ports = new Set();
    this.heard = []; // since the start, so that a late tab misses nothing
    this.notes = new Map(); // what holds until it changes: the viewers
    this.viewer = watch(
      url,
      {
        event: (event) => this.#tell(event),
        state: (state) => this.#say({ state }),
        refused: (refused) => this.#say({ refused }),
      },
      { ...options, after: null }, // another tab may have less than the first
    );
    this.viewer.finished.then((done) => {
      this.#say({ state: this.viewer.state, done });
      this.#retire();
    });
  }

  join(port, after) {
    this.ports.add(port);
    for (const event of this.heard) if (isAfter(event.position, after)) port.postMessage({ event });
    for (const event of this.notes.values()) port.postMessage({ event });
    port.postMessage({ state: this.viewer.state });
  }

  leave(port) {
    this.ports.delete(port);
    if (this.ports.size > 0) return;
    this.#retire(); // first: who comes now must not find a line that is being closed
    this.viewer.close();
  }

  #retire() {
    if (lines.get(this.url) === this) lines.delete(this.url);
  }

  #tell(event) {
    if (event.name === "gap") this.heard = [];
    if (event.position) this.heard.push(event);
    if (event.name === "viewers") this.notes.set(event.name, event);
    this.#say({ event });
  }

  #say(what) {
    for (const port of this.ports) port.postMessage(what);
  }
}

globalThis.onconnect = ({ ports: [port] }) => {
  let line = null;
  port.onmessage = ({ data: { url, options, tab, wake } }) => {
    if (wake) return line?.viewer.wake();
    if (!lines.has(url)) lines.set(url, new Line(url, options));
    line = lines.get(url);
    line.join(port, options.after ?? null);
    navigator.locks.request(tab, () => line.leave(port)); // granted when the tab has left
  };
};
