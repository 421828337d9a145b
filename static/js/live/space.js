// Where each stage searches: a bar within the bounds of all stages, and the numbers.
import { follow } from "./bus.js";
import { state } from "./state.js";
import { axisName, find, valueOf } from "./words.js";
import { count, dash, element } from "../text.js";

const UNITS = /^units_\d+$/;

function draw() {
  const begun = state.stages.filter((stage) => stage.space);
  find("space-empty").hidden = begun.length > 0;
  find("space").parentElement.hidden = begun.length === 0;
  find("space-head").replaceChildren(
    element("tr", {}, element("th", { scope: "col" }, "Axis"), ...state.stages.map((stage) =>
      element("th", { scope: "col" }, `Stage ${stage.index + 1}`,
        element("span", { class: "stage-how" }, `${count(stage.steps)} steps × ${count(stage.trials)} trials`),
        element("span", { class: "stage-how" }, how(stage))))),
  );
  const names = [...new Set(begun.flatMap((stage) => Object.keys(stage.space)))].filter((name) => !UNITS.test(name));
  if (begun.some((stage) => stage.space.units_1)) names.push("units_1");
  find("space").replaceChildren(...names.map((name) => {
    const whole = widest(begun.map((stage) => stage.space[name]).filter(Boolean));
    return element("tr", {},
      element("th", { scope: "row" }, axisName(name)),
      ...state.stages.map((stage) => element("td", {}, ...cell(stage.space ? stage.space[name] : null, whole))));
  }));
}

// The sampler and pruner of a stage; of one that has not begun, those that it will have.
function how(stage) {
  const { sampler = state.config.hyperparam_opt, pruner = state.config.pruner } = stage;
  const called = (key, value) => state.titles[key]?.[value] ?? value;
  return [called("hyperparam_opt", sampler), pruner && pruner !== "none" ? called("pruner", pruner) : "no pruner"].join(", ");
}

// Bounds that hold all of these.
function widest(axes) {
  if (!axes.length || axes[0].kind === "categorical") return { choices: [...new Set(axes.flatMap((axis) => axis.choices ?? []))] };
  return { low: Math.min(...axes.map((axis) => axis.low)), high: Math.max(...axes.map((axis) => axis.high)), log: axes.every((axis) => axis.log) };
}

function cell(axis, whole) {
  if (!axis) return [dash];
  if (axis.kind === "categorical") {
    return [element("span", { class: "choice-list" }, ...whole.choices.map((choice) => (axis.choices.includes(choice)
      ? element("span", {}, choice)
      : element("s", { "aria-label": `without ${choice}` }, choice))))];
  }
  const place = (value) => (whole.log ? Math.log(value) : value);
  const width = place(whole.high) - place(whole.low);
  const share = (value) => (width > 0 ? (100 * (place(value) - place(whole.low))) / width : 0);
  const bar = element("span");
  bar.style.marginLeft = `${Math.min(share(axis.low), 97)}%`;
  bar.style.width = `${Math.max(3, width > 0 ? share(axis.high) - share(axis.low) : 100)}%`;
  const isWhole = axis.kind === "int";
  const bounds = axis.low === axis.high ? valueOf(axis.low, isWhole) : `${valueOf(axis.low, isWhole)} – ${valueOf(axis.high, isWhole)}`;
  return [element("span", { class: "range", "aria-hidden": "true" }, bar), `${bounds}${axis.log ? " (log)" : ""}`];
}

follow(document.getElementById("pane-overview"), ["stage", "edit"], draw);
