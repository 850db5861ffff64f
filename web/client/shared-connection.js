/**
 * The shared worker of shared.js: one connection for all streams of all tabs that have no connection of their own. It ends
 * with the last tab.
 */

import { JointConnections } from "./joint-connection.js";
import { isAfter, watch } from "./manycast.js";

const streams = new Map(); // by URL
const connections = new JointConnections();

class SharedStream {
  constructor(url, options) {
    this.url = url;
    this.ports = new Set();
    this.events = []; // all logged events, for tabs that join late
    this.latest = new Map(); // the latest event of each kind that is not in the log
    this.viewer = watch(
      url,
      {
        event: (event) => this.#record(event),
        state: (state) => this.#broadcast({ state }),
        refused: (refused) => this.#broadcast({ refused }),
      },
      {
        ...options,
        after: null, // from the start: another tab may need earlier events
        connect: (address, init) => connections.open(address, { ...init, ticket: options.ticket }),
      },
    );
    this.viewer.finished.then((done) => {
      this.#broadcast({ state: this.viewer.state, done });
      this.#remove();
    });
  }

  join(port, after) {
    this.ports.add(port);
    for (const event of this.events) if (isAfter(event.position, after)) port.postMessage({ event });
    for (const event of this.latest.values()) port.postMessage({ event });
    port.postMessage({ state: this.viewer.state });
  }

  leave(port) {
    this.ports.delete(port);
    if (this.ports.size > 0) return;
    this.#remove(); // first, so that a tab that joins now does not get a closing connection
    this.viewer.close();
  }

  #remove() {
    if (streams.get(this.url) === this) streams.delete(this.url);
  }

  #record(event) {
    if (event.name === "gap") this.events = [];
    if (event.position) this.events.push(event);
    if (event.name === "viewers") this.latest.set(event.name, event);
    this.#broadcast({ event });
  }

  #broadcast(what) {
    for (const port of this.ports) port.postMessage(what);
  }
}

globalThis.onconnect = ({ ports: [port] }) => {
  let stream = null;
  const leave = () => stream?.leave(port);
  port.addEventListener("close", leave); // some browsers send it when the tab has closed or crashed
  port.onmessage = ({ data: { url, options, tab, wake, left } }) => {
    if (wake) return stream?.viewer.wake();
    if (left) return leave();
    if (!streams.has(url)) streams.set(url, new SharedStream(url, options));
    stream = streams.get(url);
    stream.join(port, options.after ?? null);
    if (tab) navigator.locks.request(tab, leave); // granted when the tab has closed
  };
};
