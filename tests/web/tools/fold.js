/** Reads `{name: chunks}` as JSON from standard input, and prints what the page makes of each. */
import { Answer } from "../../../web/client/answer.js";

let input = "";
for await (const piece of process.stdin) input += piece;
const folded = Object.entries(JSON.parse(input)).map(([name, chunks]) => {
  const answer = new Answer();
  for (const chunk of chunks) answer.add(chunk);
  return [name, { ...answer.choices[0], usage: answer.usage }];
});
console.log(JSON.stringify(Object.fromEntries(folded)));
