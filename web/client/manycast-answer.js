/**
 * `<manycast-answer src="https://chat.example.com/watch#ID">`: an answer inside any page, live and later.
 *
 * It shows the watch page in a frame, so neither page can touch the other. The server must list this page's origin in
 * MANYCAST_FRAME_ORIGINS. This file depends on nothing and may be copied.
 *
 * Its CSS variables: `--manycast-paper` (background), `--manycast-ink` (text), `--manycast-quiet` (less important text),
 * `--manycast-accent`, `--manycast-line`, `--manycast-sunk` (background of code), `--manycast-font`, `--manycast-font-size`,
 * and `--manycast-scheme` (`light` or `dark`).
 */

const VARIABLES = ["paper", "ink", "quiet", "accent", "line", "sunk", "font", "font-size", "scheme"];
const TALLEST = 100_000; // pixels

export class ManycastAnswer extends HTMLElement {
  static observedAttributes = ["src", "label"];

  #frame = document.createElement("iframe");
  #title = "Manycast"; // until the frame tells the title of its page
  #listen = (event) => this.#receive(event);
  #restyle = () => this.restyle();
  /** A page often changes its theme by an attribute of its first element. */
  #theme = new MutationObserver(this.#restyle);

  constructor() {
    super();
    Object.assign(this.#frame.style, { display: "block", width: "100%", height: "8rem", border: "0" });
    this.#frame.allow = "clipboard-write";
    this.#frame.referrerPolicy = "no-referrer";
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(":host { display: block; }");
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#frame);
  }

  connectedCallback() {
    addEventListener("message", this.#listen);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#restyle);
    this.#theme.observe(document.documentElement, { attributes: true });
    this.#load();
  }

  disconnectedCallback() {
    removeEventListener("message", this.#listen);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.#restyle);
    this.#theme.disconnect();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#load();
  }

  /** Send the CSS variables to the frame. Call this after they have changed in a way that the element cannot notice. */
  restyle() {
    const style = getComputedStyle(this);
    const values = VARIABLES.map((name) => [name, style.getPropertyValue(`--manycast-${name}`).trim()]);
    this.#frame.contentWindow?.postMessage({ manycast: "style", variables: Object.fromEntries(values) }, "*");
  }

  #load() {
    const src = this.getAttribute("src");
    this.#entitle(this.#title);
    const url = src && URL.canParse(src, document.baseURI) ? new URL(src, document.baseURI) : null;
    // Not javascript: or data:, whoever wrote the attribute.
    if (url && /^https?:$/.test(url.protocol)) this.#frame.src = url.href;
    else this.#frame.removeAttribute("src");
  }

  /** Screen readers read it. */
  #entitle(title) {
    this.#title = title;
    this.#frame.title = this.getAttribute("label") ?? title;
  }

  #receive({ source, data }) {
    if (source !== this.#frame.contentWindow || data?.manycast === undefined) return;
    if (data.manycast === "ready") this.restyle();
    if (data.manycast === "title") this.#entitle(String(data.title));
    if (data.manycast === "height") this.#frame.style.height = `${Math.min(TALLEST, Math.max(0, Number(data.height) || 0))}px`;
    if (data.manycast === "status") this.setAttribute("status", String(data.status));
  }
}

if (!customElements.get("manycast-answer")) customElements.define("manycast-answer", ManycastAnswer);
