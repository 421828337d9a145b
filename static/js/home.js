// The home page: what runs, what waits, what ended, and the machines, pushed whenever something changes.
import { connect } from "./socket.js";
import { badge, capital, count, duration, element, figure, island, isNumber, loss, time } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const { overview, steers } = island("overview");
const find = (name) => document.querySelector(`[data-${name}]`);
const path = (sweep) => `/sweeps/${encodeURIComponent(sweep.id)}`;
const maySteer = (sweep) => steers === "*" || (steers !== "" && steers.toLowerCase() === sweep.owner.toLowerCase());
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

// Show *items* in *place*, each in the element made for its key, which stays: so does the keyboard's focus.
function list(place, items, make, fill, key = (item) => item.id) {
  place.made ??= new Map();
  const before = place.made;
  place.made = new Map(items.map((item) => [key(item), before.get(key(item)) ?? make(item)]));
  for (const item of items) fill(place.made.get(key(item)), item);
  const shown = [...place.made.values()];
  if (shown.length === place.children.length && shown.every((made, index) => place.children[index] === made)) return;
  const focused = document.activeElement;
  place.replaceChildren(...shown);
  if (focused !== document.activeElement && place.contains(focused)) focused.focus();
}

// Replace the children of a part only when what it shows has changed.
function put(part, what, ...children) {
  const now = JSON.stringify(what);
  if (part.shows === now) return;
  part.shows = now;
  part.replaceChildren(...children.filter((child) => child !== null));
}

function parts(made, ...names) {
  for (const name of names) {
    made[name] = element("div", { class: `card-${name}` });
    made.append(made[name]);
  }
  return made;
}

// The best loss at each number of trials as steps down, on a logarithmic scale where all are above 0.
function sparkline(trend, share) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (trend.length < 2) return svg;
  const scale = trend.every(([, value]) => value > 0) ? Math.log : (value) => value;
  const values = trend.map(([, value]) => scale(value));
  const [low, high, first] = [Math.min(...values), Math.max(...values), trend[0][0]];
  const last = trend[trend.length - 1][0];
  const x = (step) => (100 * Math.max(share, 0.1) * (step - first)) / Math.max(1, last - first);
  const y = (value) => 28 - (26 * (value - low)) / Math.max(1e-12, high - low);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", trend.map(([step], index) => `${index ? `H${x(step).toFixed(2)}V` : `M${x(step).toFixed(2)} `}${y(values[index]).toFixed(2)}`).join(""));
  svg.append(line);
  return svg;
}

function makeCard(sweep) {
  const made = parts(element("a", { class: "card-soft sweep-card", href: path(sweep) }), "head", "bar", "facts", "best", "foot");
  made.bar.className = "bar";
  made.fill = element("span");
  made.bar.append(made.fill);
  return made;
}

function fillCard(made, sweep) {
  const { trials, seconds_left: left } = sweep;
  const state = sweep.stopping ? "stopping" : sweep.state;
  const doing = sweep.silent ? "its machine is silent" : sweep.confirming ? "confirming the best" : left > 0 ? `${duration(left)} left` : "";
  put(made.head, [sweep.name, state], element("span", { class: "sweep-card-name" }, sweep.name), badge(state));
  made.fill.style.width = `${100 * sweep.share}%`;
  put(
    made.facts,
    [trials, doing],
    element("span", {}, element("strong", {}, count(trials.done)), ` of ${plural(trials.total, "trial")}`),
    element("span", { class: sweep.silent ? "wrong" : "" }, doing),
  );
  put(
    made.best,
    [sweep.best, sweep.trend],
    sparkline(sweep.trend, sweep.share),
    element("span", {}, "best ", element("strong", {}, loss(sweep.best))),
  );
  put(
    made.foot,
    [trials, sweep.owner, sweep.machine],
    element("span", {}, `${sweep.owner} on ${sweep.machine ?? "?"}`),
    element("span", { class: trials.failed ? "wrong" : "" }, `${count(trials.failed)} failed`),
    element("span", {}, `${count(trials.pruned)} pruned`),
  );
}

// Ask for a priority; whether it was given.
async function prioritise(sweep, priority) {
  const said = find("said");
  try {
    const answer = await fetch(`${path(sweep)}/priority`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/problem+json", "X-CSRFToken": find("token").value },
      body: JSON.stringify({ priority }),
    });
    const problem = answer.ok ? null : await answer.json().catch(() => ({}));
    said.textContent = problem ? problem.detail ?? problem.title ?? "It could not be changed." : `${sweep.name} has priority ${priority} now.`;
    said.classList.toggle("wrong", Boolean(problem));
    return !problem;
  } catch {
    said.textContent = "The server does not answer; nothing was changed.";
    said.classList.add("wrong");
    return false;
  }
}

function makeQueued(sweep) {
  const made = parts(element("li", { class: "queued" }), "name", "why", "priority");
  made.name.append(element("a", { class: "row-link", href: path(sweep) }, sweep.name));
  made.about = element("span", { class: "unit" });
  made.name.append(" ", made.about);
  made.number = element("span", { class: "priority-number" });
  Object.assign(made, { sending: Promise.resolve(), asked: 0 });
  const step = (sign, by, word) => {
    const button = element("button", { type: "button", class: "btn btn-sm btn-quiet", "aria-label": `${word} priority of ${sweep.name}`, title: `${word} priority` }, sign);
    button.addEventListener("click", () => {
      const wanted = made.wanted + by; // a second click adds to the first, whether that has been answered or not
      want(made, wanted);
      made.asked += 1;
      made.sending = made.sending.then(async () => {
        if (await prioritise(sweep, wanted)) made.told = wanted;
        made.asked -= 1;
        if (!made.asked) want(made, made.told);
      });
    });
    return button;
  };
  made.priority.append(element("span", { class: "unit" }, "priority"), ...(maySteer(sweep) ? [step("−", -1, "Lower"), made.number, step("+", 1, "Higher")] : [made.number]));
  return made;
}

function want(made, priority) {
  made.wanted = priority;
  if (made.number.textContent !== count(priority)) made.number.textContent = count(priority);
}

function fillQueued(made, sweep) {
  made.told = sweep.priority;
  if (!made.asked) want(made, made.told);
  for (const [part, text] of [[made.about, `${sweep.owner}, ${plural(sweep.trials.total, "trial")}`], [made.why, `${capital(sweep.why.charAt(0))}${sweep.why.slice(1)}.`]]) {
    if (part.textContent !== text) part.textContent = text;
  }
}

const FIGURES = { rmse: "RMSE", error: "error rate" };
const COLUMNS = ["Sweep", "Ended", "Best loss", "Confirmed", "Trials", "Took", "Owner", "When"];

function makeRow() {
  const cells = COLUMNS.map((name, index) => element(index ? "td" : "th", { role: index ? "cell" : "rowheader", scope: index ? null : "row", "data-label": name, class: index >= 2 && index <= 5 ? "num" : null }));
  return Object.assign(element("tr", { role: "row" }, ...cells), { parts: cells });
}

function fillRow(made, sweep) {
  const { trials, confirmed } = sweep;
  const lost = [trials.failed ? `${count(trials.failed)} failed` : "", trials.pruned ? `${count(trials.pruned)} pruned` : ""].filter(Boolean).join(", ");
  const { name } = confirmed ?? {};
  const content = [
    [element("a", { class: "row-link", href: path(sweep) }, sweep.name), sweep.how ? element("span", { class: `reason${sweep.state === "FAILED" ? " wrong" : ""}` }, sweep.how) : null],
    [badge(sweep.state)],
    [loss(sweep.best)],
    [confirmed ? `${FIGURES[name] ?? name} ${figure(name, confirmed.mean)}` : "–", confirmed && isNumber(confirmed.std) ? element("span", { class: "reason" }, `± ${figure(name, Number(confirmed.std.toPrecision(2)))}, ${plural(confirmed.seeds, "seed")}`) : null],
    [`${count(trials.done)} of ${count(trials.total)}`, lost ? element("span", { class: "reason" }, lost) : null],
    [duration(sweep.seconds)],
    [sweep.owner],
    [time(sweep.finished)],
  ];
  const now = JSON.stringify(sweep);
  if (made.shows === now) return;
  made.shows = now;
  made.parts.forEach((cell, index) => cell.replaceChildren(...content[index].filter((part) => part !== null)));
}

function fillMachine(made, item) {
  const [load, processors] = item.load ?? [];
  const slots = `${count(item.sweeps)} of ${plural(item.slots ?? 0, "slot")} busy`;
  const loaded = isNumber(load) ? element("span", { class: "unit" }, `load ${load.toFixed(1)}, ${plural(processors, "processor")}`) : null;
  put(
    made,
    item,
    element("span", { class: `machine-dot${item.alive ? "" : " gone"}`, "aria-hidden": "true" }),
    element("span", { class: "machine-name" }, item.name),
    item.alive ? element("span", { class: "unit" }, slots) : element("span", { class: "unit wrong" }, "silent since ", time(item.seen)),
    item.alive ? loaded : null,
  );
}

function show({ running, queue, recent, machines }) {
  const nothing = running.length + queue.length + recent.length === 0;
  find("empty").hidden = !nothing;
  find("sections").hidden = nothing;
  find("running-section").hidden = running.length === 0;
  find("running-count").textContent = running.length;
  list(find("running"), running, makeCard, fillCard);
  find("queue-section").hidden = queue.length === 0;
  find("queue-count").textContent = queue.length;
  list(find("queue"), queue, makeQueued, fillQueued);
  find("recent-section").hidden = recent.length === 0;
  list(find("recent"), recent, makeRow, fillRow);
  list(find("machines"), machines, () => element("li"), fillMachine, (item) => item.name);
  find("no-machine").hidden = machines.length > 0;
  find("machines-section").hidden = false; // at first with all else: nothing that is shown moves
}

show(overview);
const socket = connect((open, done) =>
  open.emit("join_home", {}, (answer) => {
    if (answer?.overview) show(answer.overview);
    done(answer);
  }),
);
socket.on("overview", show);
