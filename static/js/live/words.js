// How the live page and the page of a trial call things.
import { capital, count, element, loss, parameters } from "../text.js";
import { state } from "./state.js";

export const find = (name) => document.querySelector(`[data-${name}]`);

// A big figure, and what stands small behind it.
export function big(value, rest) {
  return [String(value), " ", element("small", {}, rest)];
}

export const trialPath = (number) => `/sweeps/${encodeURIComponent(state.sweep.id)}/trials/${number}`;

export const FIGURES = { error: "error rate", mae: "mean absolute error", r2: "R²", rmse: "root mean squared error", loss: "loss" };

const SHORT = { "batch size": "batch ", "learning rate": "rate ", optimizer: "", activation: "" };

// batch 342 · rate 0.0007 · sgd · relu
export function inShort(params) {
  return parameters(params).map(([name, value]) => `${SHORT[name] ?? `${name} `}${value}`).join(" · ");
}

const ROLES = { ps: "PS", worker: "Worker", chief: "Chief", optimizer: "Optimizer" };
const ALONE = ["chief", "optimizer"];

export function processName(item) {
  return `${ROLES[item.role] ?? item.role}${ALONE.includes(item.role) ? "" : ` ${item.index}`}`;
}

// What the routes call a process.
export function processKey(item) {
  return ALONE.includes(item.role) ? item.role : `${item.role}_${item.index}`;
}

export function axisName(name) {
  const words = state.config.nn_model === "Regressor"
    ? { layers: "hidden layers", units_1: "nodes per layer" }
    : { layers: "layers", units_1: "units per layer" };
  return { ...words, train_optimizer: "training optimizer" }[name] ?? name.replaceAll("_", " ");
}

// The value of an axis.
export const valueOf = (value, whole) => (whole ? count(value) : loss(Number(value)));

export function clock(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB");
}

// A message with the fields called what the form calls them.
export const inTitles = (text) => text.replace(/\b[a-z]+_[a-z_]+\b/g, (key) => (Object.hasOwn(state.titles.keys, key) ? `“${state.titles.keys[key]}”` : key));

// Rows of a <dl>.
export function definitions(rows) {
  return rows
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .flatMap(([name, value]) => [element("dt", {}, capital(name)), element("dd", {}, value)]);
}

// same(values): whether these are what they were at the last call. What has not changed need not be drawn anew, and
// keeps its focus.
export function watcher() {
  let before = "";
  return (...values) => {
    const now = JSON.stringify(values);
    const isSame = now === before;
    before = now;
    return isSame;
  };
}
