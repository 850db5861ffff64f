// `node scenario.mjs FILE NAME GATEWAY PROVIDER`: runs one scenario of a file. A failed assertion is a failed test.
const [file, name, gateway, provider] = process.argv.slice(2);
const scenarios = await import(`./${file}`);
await scenarios[name]({ gateway, provider });
