// The charts of the overview: losses by trial, and the learning curves.
import { follow } from "./bus.js";
import { hasEnded, state } from "./state.js";
import { Chart } from "../charts/frame.js";
import { curves } from "../charts/curves.js";
import { losses } from "../charts/losses.js";
import { open } from "../charts/trials.js";
import { isNumber } from "../text.js";

const SHOWN_CURVES = 6;
const FAILED = ["FAILED", "LOST", "STOPPED"];
const card = (name) => document.querySelector(`[data-chart="${name}"]`);

// Older trials come without what a pruned one reached: {number: loss}, asked for once.
const reached = new Map();
async function askForPruned() {
  const answer = await fetch(`/sweeps/${encodeURIComponent(state.sweep.id)}/analysis/history.json`);
  if (!answer.ok) return;
  const { pruned } = await answer.json();
  pruned.number.forEach((number, at) => reached.set(number, pruned.losses[at]));
  drawLosses();
}

function pruned(trial) {
  const own = state.config.objective === "train_loss" ? trial.train_loss : trial.val_loss;
  return isNumber(own) ? own : reached.get(trial.number);
}

function finished() {
  const found = { completed: [], pruned: [], failed: [], best: state.sweep.best?.loss, ended: hasEnded() };
  const searched = [...state.trials.values()].filter((trial) => !trial.confirms).sort((a, b) => a.number - b.number);
  for (const trial of searched) {
    const point = { number: trial.number, state: trial.state, loss: trial.loss };
    if (trial.state === "COMPLETED" && isNumber(trial.loss)) found.completed.push(point);
    else if (trial.state === "PRUNED" && isNumber(pruned(trial))) found.pruned.push({ ...point, loss: pruned(trial) });
    else if (FAILED.includes(trial.state)) found.failed.push({ ...point, loss: null });
  }
  return found;
}

// The best trial's, then those in training, then the newest.
function shownCurves() {
  const best = state.sweep.best?.number;
  const numbers = [...state.curves].filter(([, points]) => points.length > 0).map(([number]) => number).sort((a, b) => b - a);
  const others = numbers.filter((number) => number !== best);
  const running = others.filter((number) => state.trials.get(number)?.state === "RUNNING");
  const chosen = running.length ? running : others.filter((number) => !state.trials.get(number)?.confirms);
  return [...numbers.filter((number) => number === best), ...chosen].slice(0, SHOWN_CURVES).sort((a, b) => a - b)
    .map((number) => ({ number, name: `trial ${number}${number === best ? " (best)" : ""}`, isBest: number === best, points: state.curves.get(number) }));
}

const lossChart = new Chart(card("history"), losses, { every: 500, name: "losses" });
const curveChart = new Chart(card("curves"), curves(open), { every: 500, name: "learning-curves" });
const drawLosses = () => lossChart.show(finished());

const pane = document.getElementById("pane-overview");
follow(pane, ["trial", "sweep"], drawLosses);
follow(pane, ["trial", "progress", "sweep"], () =>
  curveChart.show({ curves: shownCurves(), empty: hasEnded() ? "No trial has left a curve." : "Trials in training draw their curves here." }));
if ([...state.trials.values()].some((trial) => trial.brief && trial.state === "PRUNED")) askForPruned().catch(() => undefined);
