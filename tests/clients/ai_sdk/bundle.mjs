// `node bundle.mjs OUTPUT`: writes the pages, each with its script: `chat-VERSION.html` and `assistant.html`.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const [output] = process.argv.slice(2);

async function write(name, page, version) {
  await build({
    entryPoints: [join(import.meta.dirname, "pages", page)],
    alias: version === "7" ? {} : { ai: `ai-${version}`, "@ai-sdk/react": `@ai-sdk/react-${version}` },
    absWorkingDir: import.meta.dirname,
    bundle: true,
    format: "esm",
    jsx: "automatic",
    minify: true,
    define: { "process.env.NODE_ENV": '"development"' },
    outfile: join(output, `${name}.js`),
  });
  const html = `<!doctype html><title>${name}</title><div id="root"></div><script type="module" src="/${name}.js"></script>`;
  await writeFile(join(output, `${name}.html`), html);
}

await Promise.all([
  ...["5.0.0", "5", "6", "7"].map((version) => write(`chat-${version}`, "chat.jsx", version)),
  write("assistant", "assistant.jsx", "7"),
]);
