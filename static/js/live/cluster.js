// The processes: where they run, what they do, what they use, and the ends of their logs.
import { follow, on } from "./bus.js";
import { hasEnded, state } from "./state.js";
import { act, confirmed, steers } from "./steering.js";
import { find, processKey, processName, trialPath } from "./words.js";
import { badge, count, dash, element, isNumber } from "../text.js";

const ORDER = { chief: 0, optimizer: 0, ps: 1, worker: 2 };
const note = document.querySelector("[data-tab-note='cluster']");
const rows = new Map();

function draw() {
  const all = [...state.processes.values()].sort(
    (a, b) => (ORDER[a.role] ?? 3) - (ORDER[b.role] ?? 3) || (a.index ?? 0) - (b.index ?? 0),
  );
  find("machine").textContent = state.sweep.machine ? `the optimizer ${hasEnded() ? "ran" : "runs"} on ${state.sweep.machine}` : "";
  find("processes-empty").hidden = all.length > 0;
  find("cluster").hidden = all.length === 0;
  const shown = all.map(row);
  const place = find("processes");
  if (shown.length !== place.children.length || shown.some((one, at) => place.children[at] !== one)) place.replaceChildren(...shown);
}

function row(item) {
  const key = processKey(item);
  const kept = rows.get(key);
  const [cpu, memory] = hasEnded() || item.state === "stopped" ? [] : state.resources.get(key) ?? [];
  const now = JSON.stringify([item, cpu, memory, steers()]);
  if (kept?.now === now) return kept.made;
  const made = kept?.made ?? element("tr");
  if (!kept) {
    made.fields = Array.from({ length: 9 }, (_, at) => element(at ? "td" : "th", at ? { class: at > 3 && at < 8 ? "num" : "" } : { scope: "row" }));
    made.append(...made.fields);
    const log = button("Log", ` of ${processName(item)}`, () => tail(key, processName(item)));
    made.restart = button("Restart…", ` ${processName(item)}`, () => restart(key));
    made.fields[8].append(log, " ", made.restart);
    made.fields[0].textContent = processName(item);
  }
  const trial = /^trial (\d+)$/.exec(item.detail ?? "");
  const fill = (at, ...content) => made.fields[at].replaceChildren(...content);
  fill(1, badge(item.state, item.state === "stopped" ? "ended" : item.state));
  fill(2, trial ? element("a", { href: trialPath(trial[1]) }, item.detail) : element("span", { class: "process-detail" }, item.detail || (item.state === "ready" ? idle(item.role) : "")));
  fill(3, element("code", {}, item.address || dash));
  fill(4, item.pid ? String(item.pid) : dash);
  fill(5, isNumber(cpu) ? `${Math.round(cpu)} %` : dash);
  fill(6, isNumber(memory) ? `${count(Math.round(memory))} MB` : dash);
  fill(7, count(item.restarts ?? 0));
  made.restart.hidden = !steers() || item.role === "optimizer" || state.sweep.state === "QUEUED";
  rows.set(key, { now, made });
  return made;
}

// What a process does that is ready.
function idle(role) {
  if (role !== "ps") return "waits for a trial";
  return state.config.parallelism === "trials" ? "not needed while each worker trains trials of its own" : "holds the parameters";
}

function button(word, of, click) {
  const made = element("button", { type: "button", class: "btn btn-sm btn-quiet" }, word, element("span", { class: "visually-hidden" }, of));
  made.addEventListener("click", click);
  return made;
}

async function restart(key) {
  const item = [...state.processes.values()].find((one) => processKey(one) === key);
  const name = processName(item);
  const sure = await confirmed(`Restart ${name}?`, "The process is killed and started anew. What it trains is tried again from its first step.", "Leave it", `Restart ${name}`);
  if (!sure) return;
  const before = item.restarts ?? 0;
  act(`Restart ${name}`, `processes/${encodeURIComponent(key)}/restart`, {
    isDone: () => [...state.processes.values()].some((one) => processKey(one) === key && (one.restarts ?? 0) > before),
  });
}

// ---- the end of a log file ----------------------------------------------------------------------------------------

let tailed = null;

async function tail(key, name) {
  tailed = { key, name };
  find("tail").hidden = false;
  find("tail-name").textContent = name;
  const lines = find("tail-lines");
  try {
    const answer = await fetch(`/sweeps/${encodeURIComponent(state.sweep.id)}/processes/${encodeURIComponent(key)}/log.json`, { headers: { Accept: "application/json" } });
    const said = await answer.json();
    if (tailed?.key !== key) return;
    find("tail-where").textContent = answer.ok ? said.where : "";
    lines.textContent = answer.ok ? said.lines.join("\n") || "Nothing has been written yet." : said.detail;
  } catch {
    lines.textContent = "The server does not answer; try again.";
  }
  lines.scrollTop = lines.scrollHeight;
  find("tail").scrollIntoView({ block: "nearest" });
  lines.focus({ preventScroll: true });
}

find("tail-optimizer").addEventListener("click", () => tail("optimizer", "the optimizer"));
find("tail-again").addEventListener("click", () => tail(tailed.key, tailed.name));
find("tail-close").addEventListener("click", () => {
  const opener = rows.get(tailed.key)?.made.querySelector("button") ?? find("tail-optimizer");
  tailed = null;
  find("tail").hidden = true;
  opener.focus();
});

follow(document.getElementById("pane-cluster"), ["process", "resources", "sweep"], draw);
const alarm = () => {
  const bad = !hasEnded() && [...state.processes.values()].some((item) => ["missing", "lost"].includes(item.state));
  note.textContent = bad ? "!" : "";
};
on(["process", "sweep"], alarm);
alarm();
