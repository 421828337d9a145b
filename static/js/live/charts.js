// The charts of the overview: losses by trial, and the learning curves.
import { follow, on } from "./bus.js";
import { hasEnded, state } from "./state.js";
import { find } from "./words.js";
import { Chart, aligned, colour, palette } from "../charts.js";
import { element, isNumber, loss } from "../text.js";

const SHOWN_CURVES = 6;
const place = (name) => document.querySelector(`[data-chart="${name}"]`);

function finished() {
  return [...state.trials.values()]
    .filter((trial) => isNumber(trial.loss) && trial.state !== "RUNNING" && !trial.confirms)
    .sort((a, b) => a.number - b.number);
}

// The best trial's, then those in training, then the newest.
function shownCurves() {
  const withCurve = [...state.curves].filter(([, points]) => points.length > 0).map(([number]) => number).sort((a, b) => b - a);
  const best = withCurve.filter((number) => number === state.sweep.best?.number);
  const running = withCurve.filter((number) => !best.includes(number) && state.trials.get(number)?.state === "RUNNING");
  const others = withCurve.filter((number) => !best.includes(number) && !running.includes(number) && !state.trials.get(number)?.confirms);
  return [...best, ...running, ...(running.length ? [] : others)].slice(0, SHOWN_CURVES).sort((a, b) => a - b);
}

const losses = new Chart(
  place("history"),
  () => {
    const points = finished();
    let least = Infinity;
    const bests = points.map((trial) => (least = Math.min(least, trial.loss)));
    return {
      key: "losses",
      series: [
        { label: "loss", stroke: colour("--c0"), width: 0, paths: () => null, points: { show: true, size: points.length > 300 ? 4 : 7, fill: colour("--c0"), width: 0 } },
        { label: "best", stroke: colour("--gold-bright"), width: 2 },
      ],
      data: [points.map((trial) => trial.number), points.map((trial) => trial.loss), bests],
    };
  },
  { xLabel: "trial", log: true },
);

const curves = new Chart(
  place("curves"),
  () => {
    const shown = shownCurves();
    return {
      key: shown.join(),
      series: shown.flatMap((number) => [
        { label: `trial ${number} training`, stroke: palette(number), width: 1.25, dash: [4, 4] },
        { label: `trial ${number} validation`, stroke: palette(number), width: 2 },
      ]),
      data: aligned(shown.map((number) => {
        const points = state.curves.get(number);
        return { steps: points.map((point) => point[0]), values: [points.map((point) => point[1]), points.map((point) => point[2])] };
      })),
    };
  },
  { xLabel: "step", log: true },
);

function drawLosses() {
  const points = finished();
  find("losses-empty").hidden = points.length > 0;
  if (hasEnded()) find("losses-empty").textContent = "No trial has finished.";
  losses.update();
  if (points.length) place("history").setAttribute("aria-label", `Loss of ${points.length} finished trials; the best is ${loss(state.sweep.best?.loss)}. The table of trials has all values.`);
}

function sample(text, kind) {
  return element("span", {}, element("i", { class: kind }), text);
}

function drawCurves() {
  const shown = shownCurves();
  find("curves-empty").hidden = shown.length > 0;
  curves.update();
  find("curve-legend").replaceChildren(
    ...(shown.length ? [sample("validation", ""), sample("training", "dashed")] : []),
    ...shown.map((number) => {
      const item = element("span", {}, element("i"), `trial ${number}${state.sweep.best?.number === number ? " (best)" : ""}`);
      item.firstChild.style.color = palette(number);
      return item;
    }),
  );
}

find("losses-log").addEventListener("change", (event) => losses.setLog(event.target.checked));
find("curves-log").addEventListener("change", (event) => curves.setLog(event.target.checked));
const pane = document.getElementById("pane-overview");
follow(pane, ["trial", "sweep"], drawLosses);
follow(pane, ["trial", "progress", "sweep"], drawCurves);
on("shown", () => { losses.fit(); curves.fit(); });
