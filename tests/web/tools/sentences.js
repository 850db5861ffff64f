/** A rule of ESLint: sentences that people read stand in web/parts/words/ and nowhere else. */

// Two words in a row, a capital letter with others after it, or a word before an ellipsis.
const SENTENCE = /\p{L}{2,}[\p{P}]* \p{L}|^\P{L}*\p{Lu}\p{Ll}{2,}|\p{L}…/u;
const NAME = /Manycast/g; // is the same in every language

// What these get is for the browser.
const FUNCTIONS = new Set(["say", "sayCode", "sayAround", "find", "matches", "closest", "querySelector", "querySelectorAll", "matchMedia", "replaceSync"]);
const PROPERTIES = new Set(["class", "className", "rel", "sandbox", "allow", "accept", "authorization"]);

function isForTheBrowser(node, isClient) {
  for (let { parent } = node, child = node; parent; child = parent, { parent } = parent) {
    if (/^(Import|Export\w*Declaration|Function|Class|.*Statement)/.test(parent.type) && parent.source !== child) return false;
    if (parent.type === "ImportDeclaration" || parent.type === "BinaryExpression" && /^[!=]==$/.test(parent.operator)) return true;
    // What other pages copy has no words of ours: its errors are for their developers.
    if (isClient && parent.type === "NewExpression" && parent.callee.name === "Error") return true;
    if (parent.type === "Property") return parent.key === child || PROPERTIES.has(parent.key.name ?? parent.key.value);
    if (parent.type === "CallExpression" && child !== parent.callee) return FUNCTIONS.has(parent.callee.name ?? parent.callee.property?.name);
  }
  return false;
}

export default {
  meta: { type: "problem", messages: { sentence: "“{{text}}” is for people: put it into web/parts/words/, and say() its key." }, schema: [] },
  create(context) {
    const isClient = context.filename.includes("/web/client/");
    const check = (node, text) => {
      if (SENTENCE.test(text.replace(NAME, "")) && !isForTheBrowser(node, isClient)) context.report({ node, messageId: "sentence", data: { text } });
    };
    return {
      Literal: (node) => typeof node.value === "string" && check(node, node.value),
      TemplateElement: (node) => check(node, node.value.cooked ?? ""),
    };
  },
};
