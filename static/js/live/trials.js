// The table of trials. The server sorts and filters; the page holds only the rows that are seen, and some around them.
import { follow, on } from "./bus.js";
import { hasEnded, hold, state, stepOf } from "./state.js";
import { action } from "./actions.js";
import { act, steers } from "./steering.js";
import { find, inShort, trialPath } from "./words.js";
import { badge, count, dash, duration, element, figure, isNumber, loss, network } from "../text.js";

const HEIGHT = 42; // of a row, in px, as the stylesheet says
const SPARE = 8;
const AGAIN_MS = 1000;
const MOST_FETCHED = 100;
const PATH = `/sweeps/${encodeURIComponent(state.sweep.id)}/trials`;

const frame = find("window");
const table = find("trials");
const body = find("trial-rows");
const filters = find("filters");
const [above, below] = ["rows-above", "rows-below"].map((name) => {
  const cell = element("td");
  find(name).append(element("tr", { class: "spacer" }, cell));
  return cell;
});

let order = [];
let sort = { key: "number", down: true };

// ---- which trials, in which order ---------------------------------------------------------------------------------

const question = () => {
  const asked = new URLSearchParams([...new FormData(filters)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  if (sort.key !== "number" || !sort.down) {
    asked.set("sort", sort.key);
    asked.set("down", sort.down ? "1" : "0");
  }
  return asked;
};

const asks = () => [...question().keys()].length > 0;

let asking = null;
let missed = false; // a trial has ended since the question was asked
let again = 0;

async function arrange() {
  const asked = question();
  find("filters-clear").hidden = ![...asked.keys()].some((key) => !["sort", "down"].includes(key));
  asking?.abort();
  if (!asks()) {
    told("");
    if (order.length !== state.trials.size || filtered) put([...state.trials.keys()].sort((a, b) => b - a), false);
    else draw();
    return;
  }
  const control = new AbortController();
  asking = control;
  try {
    const answer = await fetch(`${PATH}/order.json?${asked}`, { signal: control.signal, headers: { Accept: "application/json" } });
    const said = await answer.json();
    told(answer.ok ? "" : said.detail);
    if (answer.ok) put(said.numbers, true);
  } catch (error) {
    if (error.name !== "AbortError") told("The server does not answer; what is shown may be out of date.");
  }
  if (asking !== control) return;
  asking = null;
  if (!missed) return;
  missed = false;
  arrange();
}

let filtered = false;

function put(numbers, isFiltered) {
  const top = Math.max(0, Math.floor(frame.scrollTop / HEIGHT));
  const held = top > 0 && filtered === isFiltered ? order[top] : undefined;
  const shift = frame.scrollTop - top * HEIGHT;
  [order, filtered] = [numbers, isFiltered];
  draw();
  const place = held === undefined ? -1 : order.indexOf(held);
  if (place > 0 && place !== top) {
    frame.scrollTop = place * HEIGHT + shift; // what is read stays where it is
    draw();
  }
}

function told(problem) {
  find("filters-problem").hidden = !problem;
  find("filters-problem").textContent = problem;
}

// ---- rows ---------------------------------------------------------------------------------------------------------

const made = new Map();
const fetching = new Set();

let completing = 0;

function isBrief(number) {
  const trial = state.trials.get(number);
  return !trial || Boolean(trial.brief);
}

async function complete(numbers) {
  const wanted = numbers.filter((number) => !fetching.has(number) && isBrief(number)).slice(0, MOST_FETCHED);
  if (!wanted.length) return;
  wanted.forEach((number) => fetching.add(number));
  try {
    const answer = await fetch(`${PATH}?numbers=${wanted.join()}`, { headers: { Accept: "application/json" } });
    if (answer.ok) {
      for (const trial of await answer.json()) {
        if (isBrief(trial.number)) hold(trial);
      }
      paint();
    }
  } catch { /* the server is away: asked again when the rows are next drawn */ }
  wanted.forEach((number) => fetching.delete(number));
}

function draw() {
  const total = state.trials.size;
  find("trials-empty").hidden = total > 0;
  frame.hidden = total === 0;
  table.setAttribute("aria-rowcount", order.length + 1);
  find("trials-shown").textContent = filtered && order.length < total ? `${count(order.length)} of ${count(total)}` : total ? count(total) : "";
  if (hasEnded()) find("trial-actions")?.remove();
  above.colSpan = below.colSpan = table.tHead.rows[0].cells.length;
  const retry = find("retry-all");
  if (retry) retry.hidden = hasEnded() || ![...state.trials.values()].some((trial) => trial.state === "FAILED" && !trial.confirms);
  paint();
}

// The rows that are seen now.
function paint() {
  const first = Math.max(0, Math.floor(frame.scrollTop / HEIGHT) - SPARE);
  const last = Math.min(order.length, Math.ceil((frame.scrollTop + frame.clientHeight) / HEIGHT) + SPARE);
  const shown = order.slice(first, last);
  const rows = shown.map((number, place) => {
    const row = trialRow(number);
    row.setAttribute("aria-rowindex", first + place + 2);
    return row;
  });
  const isNear = new Set(shown);
  for (const [number, { row }] of made) {
    if (!isNear.has(number)) {
      row.remove();
      made.delete(number);
    }
  }
  rows.forEach((row, place) => { // rows that stay are not moved: the focus stays, too
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  above.style.height = `${first * HEIGHT}px`;
  below.style.height = `${(order.length - last) * HEIGHT}px`;
  clearTimeout(completing);
  completing = setTimeout(() => complete(shown), 60); // not for every row that is scrolled past
}

function trialRow(number) {
  const trial = state.trials.get(number) ?? { number, brief: true };
  const isBest = state.sweep.best?.number === number;
  const step = stepOf(trial);
  const key = JSON.stringify([trial, isBest, step, steers()]);
  const kept = made.get(number);
  if (kept?.key === key) return kept.row;
  const row = kept?.row ?? element("tr", { "data-number": number });
  const focused = row.contains(document.activeElement) ? document.activeElement.dataset.does : null;
  row.className = [isBest && "is-best", trial.confirms && "is-confirming", trial.brief && "is-brief"].filter(Boolean).join(" ");
  const running = trial.state === "RUNNING";
  const share = element("span");
  share.style.width = `${Math.min(100, (100 * step) / (trial.steps || 1))}%`;
  const later = trial.brief ? "…" : null;
  row.replaceChildren(
    element("td", { class: "num" }, element("a", { class: "open", href: trialPath(number), "aria-label": `trial ${number}`, "data-does": "open" }, String(number)), isBest ? element("span", { class: "visually-hidden" }, " (best)") : null),
    element("td", { class: "num" }, trial.confirms ? dash : isNumber(trial.stage) ? String(trial.stage + 1) : dash),
    element("td", {}, trial.state ? badge(trial.state) : null),
    element("td", { class: "num" }, loss(trial.val_loss ?? trial.loss), isNumber(trial.figures?.error) ? element("span", { class: "unit" }, ` ${figure("error", trial.figures.error)}`) : null),
    element("td", { class: "num" }, later ?? loss(trial.train_loss)),
    element("td", { class: "num" }, later ?? duration(trial.seconds)),
    element("td", { class: "num" }, later ?? (trial.worker ?? dash).replace("worker_", "")),
    element("td", { class: "num" }, running ? element("span", { class: "mini", "aria-hidden": "true" }, share) : null, later ?? (trial.state === "COMPLETED" ? count(step || trial.steps) : `${count(step)} / ${count(trial.steps)}`)),
    element("td", { class: "what", title: `${network(trial.params)} ${inShort(trial.params)}`.trim() || null }, ...notes(trial), later, trial.error && trial.state !== "STOPPED" ? element("span", { class: "trial-error", title: trial.error.slice(0, 500) }, String(trial.error).trim().split("\n").at(-1)) : null,
      element("span", { class: "mono" }, network(trial.params)), " ", inShort(trial.params)),
  );
  if (table.tHead.rows[0].cells.length > row.cells.length) row.append(element("td", { class: "num" }, steers() ? action(trial) : null));
  if (focused) row.querySelector(`[data-does="${focused}"]`)?.focus();
  made.set(number, { key, row });
  return row;
}

// What makes a trial another one than most.
function notes(trial) {
  return [
    trial.confirms && element("a", { class: "tag", href: trialPath(trial.confirms), title: `Trains trial ${trial.confirms}'s configuration again from another seed` }, `confirms #${trial.confirms}`),
    trial.retries && element("a", { class: "tag", href: trialPath(trial.retries), title: `Trains the failed trial ${trial.retries} again` }, `retries #${trial.retries}`),
    trial.edit && !trial.retries && element("span", { class: "tag", title: `A point that version ${trial.edit} asked for` }, "asked for"),
    trial.attempt > 1 && element("span", { class: "tag", title: "Its process died; it was begun again" }, `${trial.state === "RUNNING" ? "retrying: " : ""}attempt ${trial.attempt} of ${state.config.max_attempts}`),
  ].filter(Boolean);
}

// ---- what the user does -------------------------------------------------------------------------------------------

let typing = 0;
filters.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { frame.scrollTop = 0; arrange(); }, 250);
});
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(arrange));
let painting = 0;
const soon = () => {
  painting ||= requestAnimationFrame(() => {
    painting = 0;
    paint();
  });
};
frame.addEventListener("scroll", soon, { passive: true });
new ResizeObserver(soon).observe(frame);

const headings = [...table.querySelectorAll("[data-sort]")];
function mark() {
  for (const heading of headings) {
    if (heading.dataset.sort === sort.key) heading.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  }
}
for (const heading of headings) {
  heading.querySelector("button").addEventListener("click", () => {
    const key = heading.dataset.sort;
    sort = { key, down: sort.key === key ? !sort.down : key === "number" };
    mark();
    frame.scrollTop = 0;
    arrange();
  });
}
mark();

function stages() {
  const select = find("filter-stages");
  const chosen = select.value;
  if (select.options.length === state.stages.length + 1) return;
  select.replaceChildren(select.options[0], ...state.stages.map((stage) => element("option", { value: stage.index }, String(stage.index + 1))));
  select.value = chosen;
}

find("retry-all")?.addEventListener("click", (event) => act("Try failed trials again", "retry", { body: {}, isDone: "version", button: event.currentTarget }));

const pane = document.getElementById("pane-trials");
follow(pane, ["stage"], stages);
follow(pane, ["trial", "progress", "sweep"], () => {
  if (asks()) draw();
  else arrange();
});
on("trial", () => { // sorted and filtered by the server: asked again, not at every event
  again ||= setTimeout(() => {
    again = 0;
    if (!asks() || !pane.getClientRects().length) return;
    if (asking) missed = true;
    else arrange();
  }, AGAIN_MS);
});
on("shown", (name) => { if (name === "trials") arrange(); });
