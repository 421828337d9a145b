// The form of a new sweep: presets, rows of stages, the sum of work, and no second press of the button.
import { count, island } from "./text.js";

const form = document.querySelector("[data-sweep-form]");
const rows = form.querySelector("[data-stage-rows]");
const template = rows.querySelector("[data-stage-row]").cloneNode(true);
const presets = island("presets");

const all = () => [...rows.querySelectorAll("[data-stage-row]")];
const inputs = (row) => [row.querySelector("[data-steps]"), row.querySelector("[data-trials]")];
const whole = (text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : null);

function number() {
  all().forEach((row, index) => {
    row.querySelector("[data-stage-number]").textContent = index + 1;
    inputs(row).forEach((input, place) => {
      input.id = `opt_stages-${index}-${place}`;
      input.name = `opt_stages.${index}.${place}`;
      input.setAttribute("aria-label", `Stage ${index + 1}: ${place ? "number of trials" : "steps of each trial"}`);
    });
    const remove = row.querySelector("[data-stage-remove]");
    remove.hidden = false;
    remove.setAttribute("aria-label", `Remove stage ${index + 1}`);
  });
  sum();
}

function add(steps = "", trials = "") {
  const row = template.cloneNode(true);
  inputs(row)[0].value = steps;
  inputs(row)[1].value = trials;
  rows.append(row);
  return row;
}

function sum() {
  const filled = all().map((row) => inputs(row).map((input) => input.value.trim())).filter((pair) => pair.some(Boolean));
  const stages = filled.length ? filled : [[form.elements.train_epoch.value, form.elements.opt_epoch.value]];
  const values = stages.map((pair) => pair.map(whole));
  const known = values.every((pair) => pair.every((value) => value !== null));
  const trials = values.reduce((total, pair) => total + pair[1], 0);
  const steps = values.reduce((total, pair) => total + pair[0] * pair[1], 0);
  const text = known ? `${count(trials)} trial${trials === 1 ? "" : "s"}, ${count(steps)} steps` : "";
  document.querySelectorAll("[data-stage-sum]").forEach((place) => { place.textContent = text; });
  const current = JSON.stringify(values);
  document.querySelectorAll("[data-preset]").forEach((button) => {
    const chosen = JSON.stringify(presets[button.dataset.preset]) === current;
    button.classList.toggle("chosen", chosen);
    button.setAttribute("aria-pressed", chosen);
  });
}

function fill(stages) {
  rows.replaceChildren();
  stages.forEach(([steps, trials]) => add(steps, trials));
  number();
}

document.querySelectorAll("[data-preset]").forEach((button) => {
  button.setAttribute("role", "button");
  const choose = (event) => {
    const isRegressor = form.elements.nn_model.value === "Regressor";
    if (!isRegressor || !(button.dataset.preset in presets)) {
      if (event.type === "keydown") button.click();
      return; // more than stages changes: the link opens the form anew
    }
    event.preventDefault();
    fill(presets[button.dataset.preset]);
  };
  button.addEventListener("click", choose);
  button.addEventListener("keydown", (event) => event.key === " " && choose(event));
});

rows.addEventListener("click", (event) => {
  const button = event.target.closest("[data-stage-remove]");
  if (!button) return;
  const row = button.closest("[data-stage-row]");
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  if (all().length === 0) add();
  number();
  inputs(next ?? all()[0])[0].focus();
});

const addButton = form.querySelector("[data-stage-add]");
addButton.hidden = false;
addButton.addEventListener("click", () => {
  const row = add();
  number();
  inputs(row)[0].focus();
});

// The spare rows are for browsers without JavaScript.
all().forEach((row, index) => {
  if (index > 0 && inputs(row).every((input) => input.value.trim() === "")) row.remove();
});
number();
form.addEventListener("input", sum);

const reading = form.querySelector("[data-read-axes]");
form.addEventListener("submit", (event) => {
  if (event.submitter === reading) {
    setTimeout(() => { reading.disabled = true; }); // not before the browser has taken up which button it was
    reading.textContent = "Reading…";
    return;
  }
  const button = form.querySelector("[data-submit]");
  button.disabled = true;
  button.textContent = "Starting…";
});
addEventListener("pageshow", () => {
  const button = form.querySelector("[data-submit]");
  button.disabled = false;
  button.textContent = "Start the sweep";
  reading.disabled = false;
  reading.textContent = "Read its axes";
});

document.querySelector("[data-problems]")?.focus();
document.querySelectorAll(".problems a").forEach((link) => {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    target.closest("details")?.setAttribute("open", "");
    target.focus();
    target.scrollIntoView({ block: "center" });
  });
});
