// The home page: what runs, what ran, and the machines, pushed whenever something changes.
import { connect } from "./socket.js";
import { badge, count, duration, element, island, loss, time } from "./text.js";

const find = (name) => document.querySelector(`[data-${name}]`);

function stateOf(sweep) {
  const open = ["QUEUED", "RUNNING", "PAUSED"].includes(sweep.state);
  return open && sweep.stop_requested ? "stopping" : sweep.state;
}

const cards = new Map();

function card(sweep) {
  const progress = sweep.progress ?? {};
  const ended = (progress.done ?? 0) + (progress.failed ?? 0);
  let made = cards.get(sweep.id);
  if (!made) {
    made = element("a", { class: "card-soft sweep-card", href: `/sweeps/${encodeURIComponent(sweep.id)}` });
    made.fill = element("span");
    cards.set(sweep.id, made);
  }
  const left = progress.seconds_left;
  made.replaceChildren(
    element("div", { class: "sweep-card-head" }, element("span", { class: "sweep-card-name" }, sweep.name), badge(stateOf(sweep))),
    element("div", { class: "bar" }, made.fill),
    element(
      "div",
      { class: "sweep-card-facts" },
      element("span", {}, element("strong", {}, count(ended)), ` of ${count(progress.total)} trials`),
      element("span", {}, "best ", element("strong", {}, loss(sweep.best?.loss))),
    ),
    element(
      "div",
      { class: "sweep-card-facts" },
      element("span", {}, sweep.owner),
      element("span", {}, sweep.state === "QUEUED" ? "waiting for a machine" : left > 0 ? `${duration(left)} left` : ""),
    ),
  );
  const share = progress.steps_total ? progress.steps_done / progress.steps_total : ended / Math.max(progress.total ?? 1, 1);
  made.fill.style.width = `${Math.min(100, 100 * share)}%`;
  return made;
}

function row(sweep) {
  const progress = sweep.progress ?? {};
  return element(
    "tr",
    {},
    element("td", {}, element("a", { class: "row-link", href: `/sweeps/${encodeURIComponent(sweep.id)}` }, sweep.name)),
    element("td", {}, badge(stateOf(sweep))),
    element("td", { class: "num" }, `${count((progress.done ?? 0) + (progress.failed ?? 0))} / ${count(progress.total)}`),
    element("td", { class: "num" }, loss(sweep.best?.loss)),
    element("td", {}, sweep.owner),
    element("td", {}, time(sweep.created)),
  );
}

function machine(item) {
  const state = item.alive ? "alive" : "does not answer";
  return element(
    "li",
    {},
    element("span", { class: `machine-dot${item.alive ? "" : " gone"}`, "aria-hidden": "true" }),
    element("span", { class: "machine-name" }, item.name),
    element("span", { class: "unit" }, item.alive ? `${state} · ${item.sweeps} of ${item.slots ?? "?"} slots busy` : state),
  );
}

function show(overview) {
  const { running, recent, machines } = overview;
  find("empty").hidden = recent.length > 0;
  find("running-section").hidden = running.length === 0;
  find("running-count").textContent = running.length;
  const shown = running.map(card);
  const place = find("running");
  // Keep the cards that are there, so that the keyboard's focus stays.
  if (shown.length !== place.children.length || shown.some((item, index) => place.children[index] !== item)) {
    const focused = document.activeElement;
    place.replaceChildren(...shown);
    if (shown.includes(focused)) focused.focus();
  }
  find("recent-section").hidden = recent.length === 0;
  if (!find("recent").contains(document.activeElement)) find("recent").replaceChildren(...recent.map(row));
  find("machines").replaceChildren(
    ...(machines.length
      ? machines.map(machine)
      : [element("li", {}, element("p", {}, "No machine has reported yet. One starts by itself with the dashboard; it takes a few seconds."))]),
  );
}

show(island("overview"));
const socket = connect((open, done) =>
  open.emit("join_home", {}, (answer) => {
    if (answer?.overview) show(answer.overview);
    done(answer);
  }),
);
socket.on("overview", show);
