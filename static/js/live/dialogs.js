// The dialogs that change the search and ask for a point. The server writes their fields, and what is wrong with them.
import { hasEnded, state } from "./state.js";
import { byVersion, pend, refused, send } from "./steering.js";
import { currentStage } from "./overview.js";
import { find } from "./words.js";
import { prepareStages, pressed } from "../new/stages.js";

const PATH = `/sweeps/${encodeURIComponent(state.sweep.id)}`;

let asking = false;

// Open *dialog* with the part of a page that lies at *path*.
async function open(dialog, path) {
  if (asking || dialog.open) return false;
  asking = true;
  try {
    const answer = await fetch(`${PATH}/${path}`, { headers: { Accept: "text/html" } });
    if (answer.redirected) location.reload(); // logged out
    if (!answer.ok || answer.redirected) throw new Error();
    dialog.innerHTML = await answer.text();
  } catch {
    refused("The server does not answer; try again.");
    return false;
  } finally {
    asking = false;
  }
  dialog.showModal();
  return true;
}

for (const dialog of document.querySelectorAll("dialog.sheet")) {
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) dialog.close();
  });
}

// ---- the search ---------------------------------------------------------------------------------------------------

const change = find("change-dialog");

async function openChange(focus) {
  if (!await open(change, "change")) return;
  prepareStages(change);
  const input = change.querySelector(focus ?? "input:checked");
  input?.focus();
  if (focus) input?.scrollIntoView({ block: "center" });
}

change?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) pressed(change, button);
  const link = event.target.closest(".problems a");
  if (!link) return;
  event.preventDefault();
  const input = document.getElementById(link.hash.slice(1));
  input?.focus();
  input?.scrollIntoView({ block: "center" });
});

change?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("[type='submit']");
  button.disabled = true;
  const answer = await send("change", new FormData(form), { refuse: say });
  button.disabled = false;
  if (answer.ok) {
    change.close();
    pend(`Change the search: version ${answer.said.version}`, byVersion(answer.said.version));
  } else if (typeof answer.said === "string") {
    change.innerHTML = answer.said;
    prepareStages(change);
    change.querySelector("[data-change-problems]").focus();
  }
});

// What cannot be said at a field.
function say(reason) {
  const place = change.querySelector("[data-change-problems]");
  place.hidden = false;
  place.querySelector("[data-change-title]").textContent = reason;
  place.querySelector("ul").replaceChildren();
  place.focus();
}

find("change")?.addEventListener("click", () => openChange());
find("extend")?.addEventListener("click", () => {
  const stage = Math.min(currentStage() ?? 0, state.stages.length - 1);
  openChange(state.config.opt_stages?.length ? `#opt_stages-${stage}-1` : "#opt_epoch");
});

// ---- a point ------------------------------------------------------------------------------------------------------

const points = find("points-dialog");

// Units of layers that the network has not are not asked for.
function fit() {
  const layers = Number(points.querySelector("[name='layers']")?.value ?? Infinity);
  for (const field of points.querySelectorAll("[data-layer]")) field.hidden = Number(field.dataset.layer) > layers;
}

let made = ""; // the number of what is asked for, so that asking for it again, when no answer came, does it once

points?.addEventListener("input", fit);
points?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = [...points.querySelectorAll("[data-axis]")];
  const point = Object.fromEntries(fields.filter((field) => !field.hidden).map((field) => [field.dataset.axis, field.querySelector("input, select").value.trim()]));
  const button = points.querySelector("[type='submit']");
  button.disabled = true;
  const answer = await send("points", { points: [point], made }, { refuse: (reason, said) => wrong(fields, reason, said) });
  button.disabled = false;
  if (!answer.ok) return;
  points.close();
  pend(`Try a point: version ${answer.said.version}`, byVersion(answer.said.version));
});

function wrong(fields, reason, said) {
  const problems = new Map((said?.problems ?? []).map(({ key, message }) => [key.replace(/^points\.0\./, ""), message]));
  const place = points.querySelector("[data-point-problem]");
  for (const field of fields) {
    const message = problems.get(field.dataset.axis) ?? "";
    field.querySelector("[data-axis-problem]").textContent = message;
    field.classList.toggle("has-problem", Boolean(message));
    const input = field.querySelector("input, select");
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    problems.delete(field.dataset.axis);
  }
  const rest = [...problems.values()];
  place.textContent = rest.length ? rest.join(" ") : fields.some((field) => field.matches(".has-problem")) ? "" : reason;
  place.hidden = !place.textContent;
  points.querySelector("[aria-invalid='true']")?.focus();
}

find("points")?.addEventListener("click", async () => {
  if (hasEnded() || !await open(points, "points")) return;
  made = crypto.getRandomValues(new Uint32Array(3)).join("-");
  fit();
});
