// Filters by clicking: a chip for each condition, a dialog that makes one, names and values completed by the server.
// The text of a filter is that of webapp.services.run_index.where.
import { element } from "../text.js";
import { address, asked, database, go } from "./address.js";

const PLAIN = /^[^\s"(),=<>~!]+$/;
const RESERVED = ["and", "or", "not", "in", "exists", "missing"];
const UNARY = ["exists", "missing"];

const form = document.querySelector("[data-filter]");
const chips = document.querySelector("[data-chips]");
const dialog = document.querySelector("[data-filter-dialog]");
const alternatives = dialog.querySelector("[data-alternatives]");
const problem = dialog.querySelector("[data-filter-problem]");
const names = document.getElementById("field-names");
const offered = document.getElementById("field-values");

const quoted = (text) => (PLAIN.test(text) && !RESERVED.includes(text.toLowerCase()) ? text : JSON.stringify(text));

function write({ field, operator, values }) {
  if (UNARY.includes(operator)) return `${quoted(field)} ${operator}`;
  if (operator === "in") return `${quoted(field)} in (${values.map(quoted).join(", ")})`;
  return `${quoted(field)} ${operator} ${quoted(values[0])}`;
}

const writeGroup = (group, alone) => (group.length > 1 && !alone ? `(${group.map(write).join(" or ")})` : group.map(write).join(" or "));
const writeAll = (groups) => groups.map((group) => writeGroup(group, groups.length === 1)).join(" and ");

// ---- chips ----------------------------------------------------------------------------------------------------------

function chip(text, edit, remove) {
  const shown = element("button", { type: "button", class: "chip-text", title: edit ? "Change this condition" : "Change it as text" }, text);
  const gone = element("button", { type: "button", class: "chip-remove", "aria-label": `Remove the condition ${text}`, title: "Remove" }, "×");
  shown.addEventListener("click", edit ?? (() => form.querySelector(".as-text").setAttribute("open", "")));
  gone.addEventListener("click", remove);
  return element("span", { class: "chip" }, shown, gone);
}

function drawChips() {
  if (!asked.where.trim()) return;
  if (!asked.groups) {
    chips.append(chip(asked.where, null, () => go({ where: "" })));
    return;
  }
  asked.groups.forEach((group, at) => {
    const without = asked.groups.filter((_, other) => other !== at);
    chips.append(chip(group.map(write).join(" or "), () => open(at), () => go({ where: writeAll(without) })));
  });
}

// ---- the dialog -----------------------------------------------------------------------------------------------------

let editing = -1;
let count = 0;

async function complete(list, path, input) {
  const asking = input.value;
  try {
    const answer = await fetch(path, { headers: { Accept: "application/json" } });
    if (!answer.ok || input.value !== asking) return;
    const found = await answer.json();
    list.replaceChildren(...found.map((item) => element("option", { value: item.name ?? item }, item.title ?? null)));
  } catch {
    // Completion is a help; typing goes on without it.
  }
}

export function completeNames(input) {
  let waiting;
  const ask = () => complete(names, `/history/fields.json?begin=${encodeURIComponent(input.value)}${database}`, input);
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 120);
  });
  input.addEventListener("focus", ask);
}

function row(condition = { field: "", operator: "=", values: [""] }) {
  count += 1;
  const field = element("input", { class: "form-control", list: "field-names", id: `field-${count}`, required: "", autocomplete: "off", spellcheck: "false", placeholder: "config.lr, state, tag…" });
  const operator = element("select", { class: "form-select", id: `operator-${count}` }, ...Object.entries(asked.operators).map(([sign, word]) => element("option", { value: sign }, word === sign ? word : UNARY.includes(sign) || sign === "in" ? word : `${sign}  ${word}`)));
  const value = element("input", { class: "form-control", list: "field-values", id: `value-${count}`, autocomplete: "off", spellcheck: "false" });
  field.value = condition.field;
  operator.value = condition.operator;
  value.value = condition.operator === "in" ? condition.values.map(quoted).join(", ") : (condition.values[0] ?? "");
  const remove = element("button", { type: "button", class: "btn btn-sm btn-quiet", "aria-label": "Remove this condition" }, "×");
  const part = (input, label, extra = "") => element("div", { class: `field ${extra}` }, element("label", { class: "field-title", for: input.id }, label), input);
  const made = element("div", { class: "condition", role: "group", "aria-label": "Condition" }, part(field, "Field"), part(operator, "Comparison"), part(value, "Value", "value"), remove);
  const follow = () => {
    const hidden = UNARY.includes(operator.value);
    made.querySelector(".value").hidden = hidden;
    value.required = !hidden && operator.value !== "=";
    value.placeholder = operator.value === "in" ? "a, b, c" : operator.value === "~" ? "a regular expression" : ["started", "ended", "active", "beat"].includes(field.value) ? "2026-01-31, or 7d for 7 days ago" : "";
  };
  operator.addEventListener("change", follow);
  field.addEventListener("change", follow);
  completeNames(field);
  const offer = () => complete(offered, `/history/values.json?field=${encodeURIComponent(field.value)}&begin=${encodeURIComponent(value.value)}${database}`, value);
  value.addEventListener("focus", offer);
  value.addEventListener("input", offer);
  remove.addEventListener("click", () => {
    made.remove();
    if (!alternatives.children.length) alternatives.append(row());
  });
  made.read = () => {
    const values = operator.value === "in" ? list(value.value) : UNARY.includes(operator.value) ? [] : [value.value];
    return { field: field.value.trim(), operator: operator.value, values };
  };
  follow();
  return made;
}

// `a, "b c", d` as its parts.
function list(text) {
  return [...text.matchAll(/"(?:[^"\\]|\\.)*"|[^,]+/g)].map(([part]) => part.trim()).filter(Boolean).map((part) => {
    try {
      return part.startsWith('"') ? JSON.parse(part) : part;
    } catch {
      return part;
    }
  });
}

export function open(at = -1, first = undefined) {
  editing = at;
  problem.hidden = true;
  const group = at >= 0 ? asked.groups[at] : [first];
  alternatives.replaceChildren(...group.map((condition) => row(condition)));
  dialog.showModal();
  alternatives.querySelector(first ? "[id^='value-']" : "input").focus();
}

dialog.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) dialog.close();
  if (event.target.closest("[data-add-alternative]")) {
    const added = row();
    alternatives.append(added);
    added.querySelector("input").focus();
  }
});

dialog.addEventListener("submit", (event) => {
  event.preventDefault();
  const group = [...alternatives.children].map((part) => part.read());
  const empty = group.find(({ field, operator, values }) => !field || (operator === "in" && !values.length));
  if (empty) {
    problem.textContent = empty.field ? "List at least one value, separated by commas." : "Choose a field.";
    problem.hidden = false;
    return;
  }
  if (asked.groups) {
    const groups = asked.groups.map((other, at) => (at === editing ? group : other));
    if (editing < 0) groups.push(group);
    go({ where: writeAll(groups) });
  } else {
    go({ where: `(${asked.where}) and ${writeGroup(group, false)}` });
  }
});

const add = document.querySelector("[data-add-filter]");
add.hidden = false;
add.addEventListener("click", () => open());

form.addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(address({ text: form.elements.text.value, where: form.elements.where.value }));
});

drawChips();
