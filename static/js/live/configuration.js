// The versions of the configuration: who changed what, when, and when the engine took it up.
import { follow, on } from "./bus.js";
import { hasEnded, state } from "./state.js";
import { find, inShort, trialPath, watcher } from "./words.js";
import { count, dash, element, isNumber, network, time } from "../text.js";

const applied = new Map(); // version → seconds until the engine took it up, of what this page has seen

on("sweep", (data, at) => {
  for (const edit of state.edits) {
    if (data.applied >= edit.version && !applied.has(edit.version)) {
      applied.set(edit.version, at ? Math.max(0, (Date.parse(at) - Date.parse(edit.at)) / 1000) : null);
    }
  }
});
for (const edit of state.edits) if (state.sweep.applied >= edit.version) applied.set(edit.version, null);

const LISTS = ["nn_dimensions", "rnn_state_dim"]; // all other pairs of numbers are bounds

// The value of a key, in words.
function shown(key, value) {
  const titles = state.titles[key];
  if (titles?.[value]) return titles[value];
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (isNumber(value)) return key !== "seed" && Number.isInteger(value) ? count(value) : String(value);
  if (key === "opt_stages" && value.length) return value.map(([steps, trials]) => `${count(steps)} steps × ${count(trials)} trials`).join(", ");
  if (Array.isArray(value) && value.length) return value.map((one) => shown("", one)).join(value.length === 2 && value.every(isNumber) && !LISTS.includes(key) ? " – " : ", ");
  if (value === null || value === "" || Object.keys(value).length === 0) return dash;
  return typeof value === "string" ? value : JSON.stringify(value);
}

const same = watcher();

function draw() {
  const { sweep } = state;
  if (same(state.edits, [...applied], sweep.version, sweep.state)) return;
  find("version").textContent = `version ${sweep.version}`;
  find("versions-empty").hidden = state.edits.length > 0;
  find("versions").replaceChildren(...[...state.edits].reverse().map(version));
  for (const [key, value] of Object.entries(state.config)) {
    const cell = document.querySelector(`[data-config="${CSS.escape(key)}"]`);
    if (cell && cell.textContent !== shown(key, value)) cell.textContent = shown(key, value);
  }
}

function version(edit) {
  const seconds = applied.get(edit.version);
  const when = applied.has(edit.version)
    ? `taken up${typeof seconds === "number" ? ` after ${seconds.toFixed(1)} s` : ""}`
    : hasEnded() ? "never taken up: the sweep had ended"
    : state.sweep.state === "QUEUED" ? "in force when the sweep begins" : "the engine has not taken it up yet";
  return element("li", {},
    element("p", { class: "version-head" }, element("strong", {}, `Version ${edit.version}`), ` by ${edit.by}, `, time(edit.at), element("span", { class: "unit" }, ` · ${when}`)),
    element("ul", {},
      ...Object.entries(edit.changes ?? {}).map(([key, [before, after]]) =>
        element("li", {}, `${state.titles.keys[key] ?? key}: `, element("del", {}, shown(key, before)), " → ", element("ins", {}, shown(key, after)))),
      ...(edit.points ?? []).slice(0, 20).map((point) => element("li", {}, `Try ${[network(point), inShort(point)].filter(Boolean).join(", ")}`)),
      (edit.points ?? []).length > 20 ? element("li", {}, `… ${edit.points.length} points in all`) : null,
      (edit.retries ?? []).length ? element("li", {}, "Try again: ", ...edit.retries.slice(0, 50).flatMap((number, at) => [at ? ", " : "", element("a", { href: trialPath(number) }, `trial ${number}`)])) : null,
    ),
  );
}

follow(document.getElementById("pane-configuration"), ["edit", "sweep"], draw);
