/**
 * A question of a script as a form: buttons for choices, fields for a schema, or one field for a text or for JSON.
 */

import { make } from "./element.js";
import { say } from "./say.js";

const MOST_BUTTONS = 8;
const MOST_FIELDS = 12;
const SIMPLE = new Set(["string", "integer", "number", "boolean"]);

let made = 0;

/**
 * The form for a question. `send(value)` resolves when the answer counts, and rejects with an `ApiError`.
 *
 * @param {{question: string, choices?: string[] | null, schema?: object | null}} asked
 * @param {(value: any) => Promise<void>} send
 */
export function inputForm(asked, send) {
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const form = make("form", { class: "answering" });
  const submit = async (value) => {
    setBusy(form, true);
    problem.hidden = true;
    await send(value).catch((error) => {
      setBusy(form, false);
      problem.textContent = error.message;
      problem.hidden = false;
    });
  };
  const choices = asked.choices ?? choicesOf(asked.schema ?? {});
  if (choices && choices.length <= MOST_BUTTONS) form.append(buttons(asked.question, choices, submit));
  else fill(form, asked.question, asked.schema ?? {}, choices, submit);
  form.append(problem);
  return form;
}

function setBusy(form, busy) {
  for (const control of form.querySelectorAll("button, input, select, textarea")) control.disabled = busy;
}

/** Values of which one is to be chosen; null if the schema permits others. */
function choicesOf(schema) {
  if (Array.isArray(schema.enum)) return schema.enum;
  return schema.type === "boolean" ? [true, false] : null;
}

/** A value of a choice as people read it. */
export const nameOf = (value) => (value === true ? say("script.yes") : value === false ? say("script.no") : typeof value === "string" ? value : JSON.stringify(value));

function buttons(question, choices, submit) {
  const each = choices.map((value) => make("button", { type: "button", onclick: () => submit(value) }, nameOf(value)));
  return make("div", { class: "options", role: "group", "aria-label": question }, ...each);
}

function fill(form, question, schema, choices, submit) {
  const fields = choices ? [selectField("", question, choices)] : fieldsOf(schema, question);
  form.append(...fields.map(({ element }) => element), make("button", { class: "primary" }, say("script.send")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = fields.map(({ name, read }) => [name, read()]).filter(([, value]) => value !== undefined);
    submit(fields.length === 1 && fields[0].name === "" ? values[0]?.[1] : Object.fromEntries(values));
  });
  // As in the composer, Enter sends; in JSON, only with Ctrl.
  form.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || target.tagName !== "TEXTAREA") return;
    if (target.classList.contains("json") && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

/** The fields for a value of this schema. A field without a name is the whole value. */
function fieldsOf(schema, question) {
  const whole = resolve(schema, schema);
  if (whole.type === undefined && !Object.keys(whole).length) return [textField("", question, {}, false)];
  if (SIMPLE.has(whole.type)) return [simpleField("", question, whole, true)];
  const properties = Object.entries(whole.properties ?? {}).map(([name, each]) => [name, resolve(each, schema)]);
  const isForm = whole.type === "object" && properties.length > 0 && properties.length <= MOST_FIELDS && properties.every(([, each]) => SIMPLE.has(each.type) || each.enum);
  if (!isForm) return [jsonField(question, schema)];
  const required = new Set(whole.required ?? []);
  return properties.map(([name, each]) => simpleField(name, each.title ?? name, each, required.has(name)));
}

/** A schema without a reference at its top, and with the type of `anyOf: [type, null]`. */
function resolve(schema, root) {
  let found = schema;
  for (let depth = 0; depth < 8 && typeof found?.$ref === "string"; depth += 1) {
    found = found.$ref.split("/").slice(1).reduce((place, name) => place?.[name], root);
  }
  const some = found?.anyOf?.filter((each) => each.type !== "null");
  return some?.length === 1 ? { ...found, ...resolve(some[0], root) } : (found ?? {});
}

function simpleField(name, label, schema, required) {
  if (schema.enum) return selectField(name, label, required ? schema.enum : ["", ...schema.enum], schema);
  if (schema.type === "boolean") return checkField(name, label, schema);
  return textField(name, label, schema, required);
}

function labelled(label, control, schema = {}) {
  made += 1;
  control.id = `answer-${made}`;
  const hint = schema.description ? make("span", { class: "small", id: `hint-${made}` }, schema.description) : null;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  const name = make("label", { for: control.id }, label);
  // The label of a box to tick stands behind it.
  const parts = control.type === "checkbox" ? [make("div", { class: "tick" }, control, name), hint] : [name, control, hint];
  return make("div", { class: "field" }, ...parts);
}

function textField(name, label, schema, required) {
  const isNumber = schema.type === "integer" || schema.type === "number";
  const control = isNumber
    ? make("input", { type: "number", step: schema.type === "integer" ? "1" : "any", min: schema.minimum, max: schema.maximum, required })
    : make("textarea", { rows: "1", autocomplete: "off", enterkeyhint: "send", required });
  control.value = schema.default ?? "";
  const read = () => {
    if (!isNumber) return control.value === "" && !required && name ? undefined : control.value;
    return control.value === "" ? undefined : Number(control.value);
  };
  return { name, read, element: labelled(label, control, schema) };
}

function selectField(name, label, values, schema = {}) {
  const control = make("select", {}, ...values.map((value, index) => make("option", { value: String(index) }, nameOf(value))));
  const read = () => (values[Number(control.value)] === "" ? undefined : values[Number(control.value)]);
  return { name, read, element: labelled(label, control, schema) };
}

function checkField(name, label, schema) {
  const control = make("input", { type: "checkbox" });
  control.checked = schema.default === true;
  return { name, read: () => control.checked, element: labelled(label, control, schema) };
}

function jsonField(question, schema) {
  const control = make("textarea", { rows: "4", spellcheck: "false", class: "json", required: true });
  const shown = make("details", { class: "words" }, make("summary", {}, say("script.schema")), make("pre", { tabindex: "0" }, JSON.stringify(schema, null, 2)));
  const element = make("div", {}, labelled(say("script.json"), control), shown);
  control.setAttribute("aria-label", `${question} ${say("script.json")}`);
  const read = () => {
    try {
      return JSON.parse(control.value);
    } catch {
      return control.value; // the server says what it wants
    }
  };
  return { name: "", read, element };
}
