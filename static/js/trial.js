// The page of one trial, kept up to date while it trains.
import { follow, on } from "./live/bus.js";
import { own, start, state, stepOf } from "./live/state.js";
import { steers, watchPending } from "./live/steering.js";
import { action } from "./live/actions.js";
import { FIGURES, big, clock, definitions, find, trialPath } from "./live/words.js";
import { badge, count, dash, duration, element, figure, isNumber, loss, network, parameters, time } from "./text.js";
import "./live/curve.js";

const number = Number(location.pathname.split("/").at(-1));
const trial = () => state.trials.get(number);
own.add(number);
const isOver = () => ["COMPLETED", "PRUNED", "FAILED", "STOPPED"].includes(trial().state);
const link = (other, before = "") => element("span", {}, before, element("a", { href: trialPath(other) }, `trial ${other}`));

function result() {
  const shown = trial();
  const step = stepOf(shown);
  find("state").replaceChildren(badge(shown.state));
  find("val").textContent = loss(shown.val_loss ?? shown.loss);
  find("train").textContent = loss(shown.train_loss);
  find("steps").replaceChildren(...big(count(step), `of ${count(shown.steps)}`));
  find("time-label").textContent = isOver() ? "Took" : "Trains since";
  find("time").textContent = isNumber(shown.seconds) ? duration(shown.seconds) : shown.state === "RUNNING" && shown.started ? clock(shown.started) : dash;
  const bar = find("progress");
  bar.max = shown.steps || 1;
  bar.value = Math.min(step, bar.max);
  find("subtitle").replaceChildren(...subtitle(shown));
  find("error").hidden = !shown.error;
  find("error").className = shown.state === "STOPPED" ? "notice" : "failure";
  find("error-title").textContent = shown.state === "STOPPED" ? "Stopped" : "Its error";
  if (find("error-text").textContent !== (shown.error ?? "")) find("error-text").textContent = shown.error ?? "";
  find("model").hidden = shown.state !== "COMPLETED";
}

function subtitle(shown) {
  const said = [
    shown.confirms ? link(shown.confirms, "Confirms ") : `Stage ${isNumber(shown.stage) ? shown.stage + 1 : dash}`,
    shown.retries ? link(shown.retries, "tries the failed ") : null,
    shown.edit && !shown.retries ? `asked for by version ${shown.edit}` : null,
    shown.worker ? `on ${shown.worker.replace("_", " ")}` : null,
    shown.started ? element("span", {}, "began ", time(shown.started)) : null,
    state.sweep.best?.number === number ? element("strong", {}, "the best of the sweep") : null,
  ].filter(Boolean);
  return said.flatMap((part, at) => (at ? [" · ", part] : [part]));
}

function params() {
  const shown = trial();
  find("params").replaceChildren(...definitions([
    ["network", network(shown.params)],
    ...parameters(shown.params),
    ...Object.entries(shown.figures ?? {}).map(([name, value]) => [FIGURES[name] ?? name, figure(name, value)]),
    ...Object.entries(shown.test ?? {}).filter(([, value]) => isNumber(value)).map(([name, value]) => [`${FIGURES[name] ?? name} on the test part`, figure(name, value)]),
  ]));
  const kin = [...state.trials.values()].filter((other) => other.confirms === number || other.retries === number);
  find("kin").replaceChildren(...(kin.length ? ["see also ", ...kin.flatMap((other, at) => [at ? ", " : "", link(other.number)])] : []));
}

function rungs() {
  const passed = trial().rungs ?? [];
  find("rungs-table").hidden = passed.length === 0;
  find("rungs-empty").hidden = passed.length > 0;
  find("rungs").replaceChildren(...passed.map(([step, reached]) =>
    element("tr", {}, element("td", { class: "num" }, count(step)), element("td", { class: "num" }, loss(reached)))));
}

function attempts() {
  const shown = trial();
  find("attempts").replaceChildren(
    ...(shown.attempts ?? []).map((one) =>
      element("li", {}, `Attempt ${one.attempt}${one.worker ? ` on ${one.worker.replace("_", " ")}` : ""}, to step ${count(one.step)}: ${String(one.error).replace(/\bworker_(\d+)/, "worker $1")}`)),
    element("li", {}, `Attempt ${shown.attempt ?? 1}${shown.worker ? ` on ${shown.worker.replace("_", " ")}` : ""}: `, badge(shown.state)),
  );
}

const names = new RegExp(`\\btrials? (?:\\(?\\d+, )*${number}\\b`);
function log() {
  const lines = state.log.filter((line) => names.test(line.text ?? ""));
  const place = find("lines");
  if (!lines.length) place.replaceChildren(element("div", { class: "log-none" }, "None."));
  else place.replaceChildren(...lines.map((line) => element("div", { class: `log-line level-${String(line.level ?? "info").toLowerCase()}` }, element("time", {}, clock(line.at)), line.text)));
  place.scrollTop = place.scrollHeight;
}

function actions() {
  const made = steers() ? action(trial()) : null;
  find("actions")?.replaceChildren(...(made ? [made] : []));
}

// The trial after this one may begin while the page is open.
on("trial", (data) => {
  const next = document.querySelector("[data-neighbour='next']");
  if (data.number > number && next.hidden) {
    next.href = trialPath(data.number);
    next.hidden = false;
  }
});

follow(document.body, ["trial", "progress", "sweep"], result);
follow(document.body, ["trial"], params);
follow(document.body, ["trial"], rungs);
follow(document.body, ["trial"], attempts);
follow(document.body, ["trial", "sweep"], actions);
follow(document.body, ["log"], log);
watchPending();
start();
