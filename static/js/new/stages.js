// The rows of stages: added, removed, numbered.

const rowsOf = (root) => root.querySelector("[data-stage-rows]");
const all = (rows) => [...rows.querySelectorAll("[data-stage-row]")];
const inputs = (row) => [row.querySelector("[data-steps]"), row.querySelector("[data-trials]")];
const isEmpty = (row) => inputs(row).every((input) => input.value.trim() === "");

function number(rows) {
  all(rows).forEach((row, index) => {
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
}

function add(rows) {
  const row = all(rows)[0].cloneNode(true);
  inputs(row).forEach((input) => { input.value = ""; });
  rows.append(row);
  return row;
}

// The spare rows are for browsers without JavaScript.
export function prepareStages(root) {
  const rows = rowsOf(root);
  if (!rows) return;
  all(rows).forEach((row, index) => { if (index > 0 && isEmpty(row)) row.remove(); });
  root.querySelector("[data-stage-add]").hidden = false;
  number(rows);
}

// Whether a press on *button* was about the stages.
export function pressed(root, button) {
  const rows = rowsOf(root);
  if (button.matches("[data-stage-add]")) {
    const row = add(rows);
    number(rows);
    inputs(row)[0].focus();
    return true;
  }
  if (!button.matches("[data-stage-remove]")) return false;
  const row = button.closest("[data-stage-row]");
  let next = row.nextElementSibling ?? row.previousElementSibling;
  if (!next) next = add(rows);
  row.remove();
  number(rows);
  inputs(next)[0].focus();
  return true;
}
