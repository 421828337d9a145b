// What a chart tells of a trial under the pointer, and where a click on it leads.
import { state } from "../live/state.js";
import { trialPath } from "../live/words.js";
import { capital, loss, network, parameters } from "../text.js";

const fetched = new Map();

// The row of a trial: the page has it, or it is asked for once.
function row(number) {
  const known = state.trials.get(number);
  if (known && !known.brief) return known;
  if (!fetched.has(number)) {
    fetched.set(number, fetch(`/sweeps/${encodeURIComponent(state.sweep.id)}/trials?numbers=${number}`, { headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok ? answer.json() : []))
      .then(([found]) => { fetched.set(number, found); return found; })
      .catch(() => { fetched.delete(number); }));
  }
  return fetched.get(number);
}

function words(number, before, trial) {
  const params = trial ? [["", network(trial.params)], ...parameters(trial.params)].filter(([, value]) => value !== "") : [];
  return [
    `trial ${number}${trial ? ` · ${capital(trial.state)}` : ""}`,
    ...before,
    ...params.slice(0, 8).map(([name, value]) => `${name} ${value}`.trim()),
  ].join("\n");
}

// A tooltip's text: *before* are the lines above the trial's parameters, which may come a moment later.
export function tell(number, before, ticket, later) {
  const found = row(number);
  if (found && typeof found.then === "function") {
    found.then((trial) => later?.(ticket, words(number, before, trial)));
    return words(number, before, null);
  }
  return words(number, before, found);
}

export const lossLine = (value) => `loss ${loss(value)}`;
export const open = (number) => (Number.isInteger(number) ? trialPath(number) : undefined);
