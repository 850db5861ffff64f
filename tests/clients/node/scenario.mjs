// `node scenario.mjs FILE NAME GATEWAY HASTY PROVIDER QUIRKY`: runs one scenario of a file. QUIRKY: models with quirks, in JSON.
// A failed assertion is a failed test.
const [file, name, gateway, hasty, provider, quirky] = process.argv.slice(2);
const scenarios = await import(`./${file}`);
await scenarios[name]({ gateway, hasty, provider, quirky: JSON.parse(quirky) });
