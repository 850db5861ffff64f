// `node bundle.mjs OUTPUT FILE…`: bundles each file for a browser, wherever it is; its packages are those of this folder.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build } from "esbuild";

const [output, ...files] = process.argv.slice(2);
await Promise.all(
  files.map(async (file) =>
    build({
      stdin: { contents: await readFile(file, "utf8"), resolveDir: join(import.meta.dirname, "browser") },
      bundle: true,
      format: "esm",
      external: ["/manycast.js"],
      outfile: join(output, `${basename(file, ".mjs")}.js`),
    }),
  ),
);
