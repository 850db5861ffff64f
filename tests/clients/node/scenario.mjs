// `node scenario.mjs FILE NAME GATEWAY HASTY PROVIDER`: runs one scenario of a file. A failed assertion is a failed test.
const [file, name, gateway, hasty, provider] = process.argv.slice(2);
const scenarios = await import(`./${file}`);
await scenarios[name]({ gateway, hasty, provider });
