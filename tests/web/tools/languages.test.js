/** Every language has all sentences, with the same places for values; and the page uses all of them. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../../web/", import.meta.url);
const filesOf = (folder, ending) => readdirSync(new URL(folder, WEB)).filter((name) => name.endsWith(ending)).map((name) => folder + name);
const read = (file) => readFileSync(new URL(file, WEB), "utf8");
const words = async (name) => (await import(new URL(`parts/words/${name}.js`, WEB).href)).default;

const LANGUAGES = filesOf("parts/words/", ".js").map((file) => /(\w+)\.js$/.exec(file)[1]).filter((name) => name !== "more");
const OTHERS = LANGUAGES.filter((name) => name !== "en");
const SOURCE = [...filesOf("parts/", ".js"), ...filesOf("pages/", ".js")].map(read).join("\n");

/** The English sentences in the HTML pages, by key: `{text, page}`. */
function staticWords() {
  const found = new Map();
  for (const page of filesOf("pages/", ".html")) {
    for (const [, attributes, text] of read(page).matchAll(/<\w+([^>]*)>([^<]*)/g)) {
      const places = /data-say="([^"]*)"/.exec(attributes)?.[1].split(" ") ?? [];
      for (const place of places) {
        const [key, attribute] = place.split(":");
        const shown = attribute ? new RegExp(` ${attribute}="([^"]*)"`).exec(attributes)?.[1] : text;
        assert.ok(shown, `${page}: nothing to say at ${place}`);
        assert.equal(found.get(key)?.text ?? shown, shown, `${key} says two things`);
        found.set(key, { text: shown, page });
      }
    }
  }
  return found;
}

const STATIC = staticWords();
const formsOf = (sentence) => (typeof sentence === "string" ? { other: sentence } : sentence);
const placesOf = (sentence) => [...new Set(Object.values(formsOf(sentence)).flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();

test("language.js knows the languages that there are", () => {
  const spoken = /SPOKEN = (\[.*?\])/.exec(read("parts/language.js"))[1];
  assert.deepEqual(JSON.parse(spoken).sort(), LANGUAGES.sort());
  assert.ok(OTHERS.includes("de") && OTHERS.includes("es"));
});

test("what stands in a page and in a module is the same", async () => {
  const english = { ...(await words("en")), ...(await words("en-more")) };
  for (const [key, { text }] of STATIC) if (key in english) assert.equal(english[key], text, key);
});

test("no text in a page is without a key", () => {
  for (const page of filesOf("pages/", ".html")) {
    const body = read(page).split("</head>")[1];
    for (const [, attributes, text] of body.matchAll(/<\w+([^>]*)>([^<]*)/g)) {
      const visible = [text.trim(), ...[...attributes.matchAll(/ (?:aria-label|title|placeholder|alt)="([^"]*)"/g)].map((match) => match[1])];
      if (visible.some((each) => /\p{L}/u.test(each.replace("Manycast", "")))) assert.match(attributes, /data-say=/, `${page}: ${visible.join(" ")}`);
    }
  }
});

for (const language of OTHERS) {
  for (const set of ["", "-more"]) {
    test(`${language}${set}.js says what en${set}.js says`, async () => {
      const [ours, english] = [await words(language + set), await words(`en${set}`)];
      for (const key of Object.keys(english)) {
        assert.ok(key in ours, `${key} is missing`);
        assert.deepEqual(placesOf(ours[key]), placesOf(english[key]), key);
        assert.equal(typeof ours[key], typeof english[key], key);
      }
      const unknown = Object.keys(ours).filter((key) => !(key in english) && !STATIC.has(key));
      assert.deepEqual(unknown, []);
    });
  }

  test(`${language} says what the pages say`, async () => {
    const [first, more] = [await words(language), await words(`${language}-more`)];
    for (const [key, { page }] of STATIC) {
      assert.ok(key in first || (key in more && !page.endsWith("index.html")), `${key} of ${page} is missing`);
    }
    assert.deepEqual(Object.keys(first).filter((key) => key in more), []);
  });

  test(`${language} is not English`, async () => {
    const english = { ...(await words("en")), ...(await words("en-more")), ...Object.fromEntries([...STATIC].map(([key, { text }]) => [key, text])) };
    for (const [key, sentence] of Object.entries({ ...(await words(language)), ...(await words(`${language}-more`)) })) {
      const text = formsOf(sentence).other;
      if (/\p{L}{2,} \p{L}/u.test(text)) assert.notEqual(text, formsOf(english[key]).other, key);
    }
  });
}

for (const language of LANGUAGES) {
  test(`where the words of ${language} depend on a number, there are forms for all numbers`, async () => {
    const categories = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const [key, sentence] of Object.entries({ ...(await words(language)), ...(await words(`${language}-more`)) })) {
      if (typeof sentence === "string") continue;
      assert.ok("other" in sentence && "one" in sentence && placesOf(sentence).includes("{count}"), key);
      assert.deepEqual(Object.keys(sentence).filter((form) => !categories.includes(form)), [], key);
    }
  });
}

test("the page uses every sentence", async () => {
  const tables = [...SOURCE.matchAll(/sayCode\("(\w+)"/g)].map((match) => match[1]);
  const isUsed = (key) => SOURCE.includes(`"${key}"`) || tables.includes(key.split(".")[0]) || STATIC.has(key) || SOURCE.includes(`\`${key.split(".")[0]}.\${`);
  for (const set of ["en", "en-more"]) assert.deepEqual(Object.keys(await words(set)).filter((key) => !isUsed(key)), []);
});
