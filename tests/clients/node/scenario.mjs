// `node scenario.mjs FILE NAME GATEWAY HASTY PROVIDER QUIRKS`: runs one scenario of a file. QUIRKS: models, in JSON. A failed assertion is a failed test.
const [file, name, gateway, hasty, provider, quirks] = process.argv.slice(2);
const scenarios = await import(`./${file}`);
await scenarios[name]({ gateway, hasty, provider, quirks: JSON.parse(quirks) });
