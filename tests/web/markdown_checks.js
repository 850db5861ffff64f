/** Functions for test_markdown.py, which runs them in the page. It sets `globalThis.checks`. */
globalThis.checks = await (async () => {
  const { growingText, loadMarkdown } = await import("/markdown.js");
  const { loadWords } = await import("/say.js");
  await Promise.all([loadMarkdown(), loadWords()]);
  const MarkdownIt = globalThis.markdownit;

  /** Shows a text that comes in pieces, and returns its element. */
  function show(pieces) {
    const element = document.createElement("div");
    element.className = "text";
    const text = growingText(element);
    for (const piece of pieces) text.write(piece);
    text.end();
    return element;
  }

  /** Cuts a text at random places. `random()` is in [0, 1). */
  function cut(text, random, longest) {
    const pieces = [];
    for (let at = 0; at < text.length; ) {
      const length = 1 + Math.floor(random() * longest);
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    return pieces;
  }

  /** Random numbers that `seed` determines (mulberry32). */
  function randomOf(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  const BLOCKS = new Set("p h1 h2 h3 h4 h5 h6 ul ol li blockquote pre hr table thead tbody tr th td br".split(" "));
  const address = (text) => (/^(https?|mailto):/i.test(text ?? "") && URL.canParse(text) ? new URL(text).href : null);

  /** An element of ours, or of the specification's HTML, in one form: `[tag, attributes, children]`. */
  function read(node) {
    const tag = node.localName;
    const children = node.childNodes;
    const { title } = node;
    if (node.classList.contains("code")) {
      return ["pre", { language: node.querySelector(".language").textContent }, [node.querySelector("pre").textContent]];
    }
    if (node.classList.contains("table")) return read(node.firstChild);
    if (node.classList.contains("image")) {
      return ["img", { alt: node.textContent, source: node.querySelector("a")?.getAttribute("href") ?? null, title }, []];
    }
    if (node.dataset.ours && /^h[2-6]$/.test(tag)) return [`h${tag[1] - 1}`, {}, children];
    if (tag === "h6") return ["h5", {}, children]; // we have one heading less: the page's own h1
    if (tag === "pre") {
      const language = /^language-(.*)/.exec(node.firstChild.className)?.[1] ?? "";
      return ["pre", { language }, [node.textContent.replace(/\n$/, "")]];
    }
    if (tag === "img") {
      // Within a link, a picture is its description.
      const source = node.closest("a") ? null : address(node.getAttribute("src"));
      return ["img", { alt: node.alt, source, title }, []];
    }
    if (tag === "a") return [tag, { href: address(node.getAttribute("href")), title }, children];
    if (tag === "ol") return [tag, { start: node.start }, children];
    return [tag, {}, children];
  }

  /** A text that is the same for elements that mean the same. */
  function normalize(root) {
    const write = (node, exact) => {
      if (typeof node === "string") return JSON.stringify(node);
      if (node.nodeType === Node.TEXT_NODE) return exact ? JSON.stringify(node.data) : node.data.replace(/\s+/g, " ");
      if (node.nodeType !== Node.ELEMENT_NODE) return "";
      const [tag, attributes, children] = read(node);
      const inside = [...children].map((child) => write(child, exact || tag === "code")).join("");
      const written = `<${tag} ${JSON.stringify(attributes)}>${inside}</${tag}>`;
      return BLOCKS.has(tag) ? `\n${written.replace(/^(<[^>]*>)/, "$1\n").replace(/(<\/[^>]*>)$/, "\n$1")}\n` : written;
    };
    const all = [...root.childNodes].map((child) => write(child, false)).join("");
    return all.replace(/[ \n]*\n[ \n]*/g, "\n").trim();
  }

  const hasHtml = (markdown) => {
    const tokens = new MarkdownIt("commonmark").parse(markdown, {});
    return [...tokens, ...tokens.flatMap(({ children }) => children ?? [])].some(({ type }) => type.startsWith("html_"));
  };

  /** Compares what we show with the HTML that the specification expects. */
  function compare({ markdown, html }) {
    const shown = show([markdown]);
    for (const heading of shown.querySelectorAll("h2, h3, h4, h5, h6")) heading.dataset.ours = "yes";
    const expected = new DOMParser().parseFromString(html, "text/html").body;
    return { hasHtml: hasHtml(markdown), shown: normalize(shown), expected: normalize(expected) };
  }

  const FRAGMENTS = [
    ..."*_`~[]()<>!#-+=|:\\&\"'.1 a",
    ..."\n\n\n\n\n\n",
    "  ", "    ", "\t", "\r\n", "\n\n", "> ", "- ", "1. ", "2) ", "```", "~~~", "```py\n", "**", "__", "~~", "---", "===\n", "***\n",
    "| a | b |\n|---|:-:|\n", "| 1 |", "|--|", "[a]", "[a]: https://x.test/a\n", "[b]", "[b]: /b 'title'\n", "[^1]", "[^1]: ",
    "[^1]: note\n", "[x](https://x.test/)", "![x](/y)", "- [ ] ", "- [x] ", "https://x.test/y_(z), ", "www.x.test", "a@x.test ",
    "<b>", "</b>", "<!-- ", "-->", "&amp;", "&#35;", "word", "two words", "# ", "## ", "é", "🚀", "שלום", "\0", "\\[x\\]", "$5", "$x$", "$$", "$$\n", "\n\\]\n", "\\(",
  ];

  /** Markdown that `random` makes, of mostly broken syntax. */
  function invent(random, fragments) {
    return Array.from({ length: fragments }, () => FRAGMENTS[Math.floor(random() * FRAGMENTS.length)]).join("");
  }

  /**
   * Shows the same texts at once, and in random pieces of up to `longest` characters. Returns what differs: `{text, pieces}`.
   */
  function findDifferences(texts, longest) {
    return texts.flatMap((text, seed) => {
      const pieces = cut(text, randomOf(seed), longest);
      return show([text]).isEqualNode(show(pieces)) ? [] : [{ text, pieces }];
    });
  }

  /** Texts that random numbers make of `parts`. */
  function mix(parts, count) {
    const random = randomOf(1);
    const pick = () => parts[Math.floor(random() * parts.length)];
    return Array.from({ length: count }, () => Array.from({ length: 4 }, pick).join(random() < 0.5 ? "\n" : ""));
  }

  /**
   * Shows a text in two pieces. Returns what the second changed: the indexes of the elements that were changed or anything
   * within them, and the number of removed elements. `unfinished`: how much of the text is parsed each time.
   */
  async function findChanges(first, second) {
    const element = document.createElement("div");
    const text = growingText(element);
    text.write(first);
    const changes = [];
    const observer = new MutationObserver((records) => changes.push(...records));
    observer.observe(element, { subtree: true, childList: true, characterData: true, attributes: true });
    for (const character of second) text.write(character);
    const { unfinished } = text;
    text.end();
    changes.push(...observer.takeRecords());
    const outermost = (node) => (node.parentNode === element ? node : outermost(node.parentNode));
    const places = changes.filter(({ target }) => target !== element && element.contains(target)).map(({ target }) => outermost(target));
    const removed = changes.filter(({ target }) => target === element).flatMap(({ removedNodes }) => [...removedNodes]);
    const indexes = [...new Set(places)].map((node) => [...element.children].indexOf(node));
    return { changed: indexes, removed: removed.length, unfinished };
  }

  /** How deep the elements of a text are nested, its visible text, and the longest time that it took to show a piece. */
  function measure(text, longest) {
    const element = document.createElement("div");
    element.className = "text";
    document.body.replaceChildren(element);
    const growing = growingText(element);
    const times = cut(text, () => 0.999, longest).map((piece) => {
      const begun = performance.now();
      growing.write(piece);
      element.getBoundingClientRect();
      return performance.now() - begun;
    });
    growing.end();
    const depth = (node) => 1 + Math.max(0, ...[...node.children].map(depth));
    return { depth: depth(element), shown: element.textContent, longest: Math.max(...times) };
  }

  /** Shows a text in the page, and resolves when `count` formulas are in it. */
  async function showFormulas(text, count) {
    const element = show([text]);
    document.body.replaceChildren(element);
    while (element.querySelectorAll("math").length < count) await new Promise((resolve) => requestAnimationFrame(resolve));
    return element;
  }

  return { compare, findChanges, findDifferences, invent, measure, mix, randomOf, show, showFormulas };
})();
