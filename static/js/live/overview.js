// How far the sweep is, what it has found, and why it ended.
import { follow } from "./bus.js";
import { hasEnded, state, stepOf } from "./state.js";
import { FIGURES, big, clock, definitions, find, inTitles, processName, trialPath, watcher } from "./words.js";
import { badge, capital, count, dash, duration, element, figure, isNumber, loss, network, parameters } from "../text.js";

const OVER = ["COMPLETED", "PRUNED", "FAILED"];

export function currentStage() {
  const given = state.sweep.progress?.stage;
  if (isNumber(given)) return Math.min(given, state.stages.length - 1);
  const begun = state.stages.filter((stage) => stage.space).map((stage) => stage.index);
  return begun.length ? Math.max(...begun) : null;
}

// What the pages show of a state, before the engine has done what was wished.
function shownState(sweep) {
  if (!hasEnded() && sweep.stop_requested) return "stopping";
  if (sweep.state === "RUNNING" && sweep.pause_requested) return "pausing";
  if (sweep.state === "PAUSED" && !sweep.pause_requested) return "resuming";
  if (sweep.state === "RUNNING" && sweep.finish_requested) return "finishing";
  return sweep.state;
}

function head() {
  const { sweep } = state;
  const progress = sweep.progress ?? {};
  find("state").replaceChildren(badge(shownState(sweep)));
  find("subtitle").textContent = [
    `Owner: ${sweep.owner}`,
    sweep.machine && `on ${sweep.machine}`,
    sweep.restarts > 0 && `restarted ${sweep.restarts} time${sweep.restarts === 1 ? "" : "s"}`,
  ].filter(Boolean).join(" · ");
  if (sweep.run_id !== null && sweep.run_id !== undefined) {
    find("run-link").hidden = false;
    find("run-link").href = `/history/${encodeURIComponent(sweep.run_id)}`;
  }
  find("failure").hidden = sweep.state !== "FAILED";
  find("failure-text").textContent = sweep.error ? inTitles(sweep.error) : "No reason was recorded; the log may tell.";
  const notice = find("waiting");
  const text = waiting(sweep);
  notice.hidden = !text;
  if (notice.textContent !== text) notice.textContent = text;
  document.title = hasEnded()
    ? `${capital(sweep.state)} · ${sweep.name} – NHOP`
    : `${count(progress.done ?? 0)}/${count(progress.total)} · ${sweep.name} – NHOP`;
}

function waiting(sweep) {
  if (hasEnded()) return "";
  if (sweep.stop_requested) return "Stopping: the trials in training end where they are.";
  if (state.unowned) return `${sweep.machine ?? "Its machine"} is silent: the sweep goes on when it is heard of again, or when another takes the sweep over. Nothing that has ended is lost.`;
  if (sweep.held) return `Held: ${sweep.held}.`;
  if (sweep.state === "QUEUED") return `Queued: ${state.queue || "it starts as soon as a machine is free, within a few seconds on an idle one."}`;
  if (sweep.state === "PAUSED" && sweep.pause_requested) return "Paused: the trials in training wait where they are, in memory. Resume lets them go on.";
  if (sweep.finish_requested) return "Finishing: no more trials begin; those in training end, and the best are confirmed.";
  return "";
}

function missing() {
  const absent = hasEnded() ? [] : [...state.processes.values()].filter((item) => item.state === "missing");
  find("missing").hidden = absent.length === 0;
  find("missing").textContent = absent.length === 0 ? "" : [
    `${absent.map((item) => `${processName(item)} at ${item.address}`).join(" and ")} ${absent.length > 1 ? "do" : "does"} not answer.`,
    absent.every((item) => item.role === "worker") && state.config.missing_hosts !== "wait"
      ? "The sweep goes on with the other workers, and uses it when it answers."
      : "The sweep waits for it.",
  ].join(" ");
}

// What has died, and what became of it.
function recovery() {
  const { resumed } = state.sweep;
  const most = state.config.max_attempts;
  const again = [...state.trials.values()].filter((trial) => trial.attempt > 1 && ["RUNNING", "QUEUED"].includes(trial.state));
  const told = hasEnded() ? "" : [
    resumed && `Resumed after ${duration(resumed.seconds)}, at ${clock(resumed.at)}: its optimizer had ended.`,
    again.length > 0 && `Retrying ${again.map((trial) => `trial ${trial.number} (attempt ${trial.attempt} of ${most})`).join(" and ")}.`,
  ].filter(Boolean).join(" ");
  find("recovery").hidden = !told;
  if (find("recovery").textContent !== told) find("recovery").textContent = told;
}

function progress() {
  const { sweep } = state;
  const told = sweep.progress ?? {};
  const ended = hasEnded();
  const stage = sweep.state === "QUEUED" ? null : currentStage();
  find("stage").replaceChildren(...(stage === null ? [dash] : big(stage + 1, `of ${state.stages.length}`)));
  find("trials-done").replaceChildren(...big(count(told.done ?? 0), `of ${count(told.total)}`));
  const completed = (told.done ?? 0) - (told.failed ?? 0) - (told.pruned ?? 0);
  find("trials-kinds").textContent = [
    `${count(completed)} completed`,
    told.pruned > 0 && `${count(told.pruned)} pruned`,
    told.failed > 0 && `${count(told.failed)} failed`,
  ].filter(Boolean).join(" · ");
  find("time-label").textContent = ended ? "Took" : "Time left";
  find("time-left").textContent = ended
    ? duration((Date.parse(sweep.finished) - Date.parse(sweep.started)) / 1000)
    : sweep.state === "QUEUED" ? "waiting" : told.to_confirm > 0 && told.seconds_left === 0 ? dash : duration(told.seconds_left);
  find("time-note").textContent = told.to_confirm > 0 && !ended
    ? `confirming: ${count(told.confirmed)} of ${count(told.to_confirm)}`
    : told.seconds > 0 && !ended ? `${duration(told.seconds)} so far` : "";
  find("best-loss").textContent = loss(sweep.best?.loss);
  find("best-note").textContent = sweep.best ? `trial ${sweep.best.number}` : "";
  const bar = find("progress");
  bar.max = told.total || 1;
  bar.value = told.done ?? 0;
  const because = find("ended-because");
  because.hidden = !sweep.ended_because;
  because.textContent = sweep.ended_because ? `The search ended early: ${sweep.ended_because}.` : "";
  stageBars(ended);
}

// One bar for each stage: completed, pruned and failed trials beside each other, then how far those in training are.
function stageBars(ended) {
  const place = find("stage-bars");
  if (place.children.length !== state.stages.length) place.replaceChildren(...state.stages.map(stageBar));
  const counted = new Map(state.stages.map((stage) => [stage.index, { COMPLETED: 0, PRUNED: 0, FAILED: 0, RUNNING: 0 }]));
  for (const trial of state.trials.values()) {
    const counts = trial.confirms ? null : counted.get(trial.stage);
    if (!counts) continue;
    if (OVER.includes(trial.state)) counts[trial.state] += 1;
    else if (trial.state === "RUNNING" && trial.steps) counts.RUNNING += Math.min(1, stepOf(trial) / trial.steps);
  }
  const told = state.sweep.progress ?? {};
  const pace = told.seconds_left > 0 ? told.seconds_left / Math.max(1, told.steps_total - told.steps_done) : null;
  const current = currentStage();
  state.stages.forEach((stage, index) => {
    const bar = place.children[index];
    const counts = counted.get(stage.index);
    const done = OVER.reduce((sum, name) => sum + counts[name], 0);
    const isOver = ended || (current !== null && stage.index < current);
    const whole = isOver ? Math.max(done, 1) : Math.max(stage.trials, done + counts.RUNNING, 1);
    for (const [name, part] of Object.entries(bar.parts)) part.style.width = `${(100 * counts[name]) / whole}%`;
    const left = !isOver && pace !== null && sweepRuns() ? (stage.trials - done - counts.RUNNING) * stage.steps * pace : 0;
    bar.words.textContent = [
      `${count(done)} of ${count(stage.trials)}`,
      isOver && done < stage.trials ? "ended early" : left > 0 ? `${duration(left)} left` : "",
    ].filter(Boolean).join(" · ");
  });
}

const sweepRuns = () => ["RUNNING", "PAUSED"].includes(state.sweep.state);

function stageBar(stage) {
  const bar = element("li");
  bar.parts = Object.fromEntries(["COMPLETED", "PRUNED", "FAILED", "RUNNING"].map((name) => [name, element("span", { class: `part-${name.toLowerCase()}` })]));
  bar.words = element("span", { class: "unit" });
  bar.append(
    element("span", { class: "stage-name" }, `Stage ${stage.index + 1}`),
    element("span", { class: "stage-bar", "aria-hidden": "true" }, ...Object.values(bar.parts)),
    bar.words,
  );
  return bar;
}

function best() {
  const found = state.sweep.best;
  find("best-title").textContent = hasEnded() ? "Best" : "Best so far";
  find("best-empty").hidden = Boolean(found);
  find("best-empty").textContent = hasEnded() ? "No trial has completed." : "The best trial will stand here.";
  if (!found) {
    find("best-trial").replaceChildren();
    find("best").replaceChildren();
    return;
  }
  if (find("best-trial").dataset.number !== String(found.number)) {
    find("best-trial").dataset.number = found.number;
    find("best-trial").replaceChildren(element("a", { href: trialPath(found.number) }, `trial ${found.number}`));
  }
  const figures = state.trials.get(found.number)?.figures ?? {};
  const rows = [
    ["loss", loss(found.loss)],
    ...Object.entries(figures).map(([name, value]) => [FIGURES[name] ?? name, figure(name, value)]),
    ["network", network(found.params)],
    ...parameters(found.params),
  ];
  if (isNumber(figures.r2) && figures.r2 < 0.05) rows.push(["worth", "hardly more than predicting the mean"]);
  find("best").replaceChildren(...definitions(rows));
}

const sameConfirmed = watcher();

// What the best configurations are worth on the test part.
function confirmed() {
  const list = state.sweep.confirmed ?? [];
  const { baseline } = state.sweep;
  const told = state.sweep.progress ?? {};
  if (sameConfirmed(list, baseline, told.to_confirm, told.confirmed, hasEnded(), state.config)) return;
  const wait = find("confirmed-wait");
  wait.hidden = list.length > 0;
  wait.textContent = told.to_confirm > 0
    ? `The best configurations are trained again from other seeds: ${count(told.confirmed)} of ${count(told.to_confirm)}.`
    : hasEnded() || state.config.confirm === 0 ? "Nothing has been confirmed."
    : `When the search has ended, the best ${state.config.confirm === 1 ? "is" : `${count(state.config.confirm)} are`} trained again from ${count(state.config.confirm_seeds)} other seeds.`;
  find("confirmed-table").hidden = list.length === 0;
  const least = Math.min(...list.map((one) => one.figures.rmse?.mean ?? Infinity));
  find("baseline").textContent = baseline && Number.isFinite(least)
    ? `Plain linear regression on the same parts has a test RMSE of ${loss(baseline.rmse)}: ${least < baseline.rmse ? "the network is better" : "the network is not better"}.`
    : baseline ? `Plain linear regression has a test RMSE of ${loss(baseline.rmse)}.` : "";
  find("confirmed").replaceChildren(...list.map((one) => {
    const name = ["rmse", "error", "loss"].find((key) => one.figures[key]);
    const spread = one.figures[name];
    return element("tr", {},
      element("td", { class: "num" }, element("a", { href: trialPath(one.trial) }, String(one.trial))),
      element("td", { class: "num" }, loss(one.loss)),
      element("td", { class: "num" }, one.figures.loss ? loss(one.figures.loss.mean) : dash),
      element("td", { class: "num" }, name ? `${figure(name, spread.mean)} ± ${figure(name, spread.std)}` : "every training failed"),
      element("td", { class: "num" }, one.failed ? `${one.seeds} (${one.failed} failed)` : String(one.seeds)),
    );
  }));
  find("confirmed-figure").textContent = `Test ${list.some((one) => one.figures.error) ? "error rate" : "RMSE"}`;
}

const pane = document.getElementById("pane-overview");
follow(document.body, ["sweep", "queue"], head);
follow(document.body, ["process", "sweep"], missing);
follow(document.body, ["sweep", "trial"], recovery);
follow(pane, ["sweep", "stage", "trial", "progress"], progress);
follow(pane, ["sweep", "trial"], best);
follow(pane, ["sweep", "edit"], confirmed);
