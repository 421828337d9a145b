// The live page of a sweep: the snapshot, then its events, in order and without gaps.
import { Chart, aligned, palette, colour } from "./charts.js";
import { connect } from "./socket.js";
import { badge, capital, count, dash, duration, element, island, isNumber, loss, network, parameters } from "./text.js";

const ENDED = ["COMPLETED", "FAILED", "STOPPED"];
const SHOWN_CURVES = 6;
const ROWS = 100;
const MORE_ROWS = 400;
const LINES = 1000;

const find = (name) => document.querySelector(`[data-${name}]`);
const snapshot = island("snapshot");

const state = {
  seq: snapshot.seq,
  sweep: snapshot.sweep,
  config: snapshot.config,
  stages: snapshot.stages,
  // Older trials are known by number, stage, state and loss; their rows are fetched when asked for.
  trials: new Map([
    ...snapshot.older.map(([number, stage, at, lost]) => [number, { number, stage, state: at, loss: lost, brief: true }]),
    ...snapshot.trials.map((trial) => [trial.number, trial]),
  ]),
  curves: new Map(Object.entries(snapshot.curves).map(([number, points]) => [Number(number), points])),
  processes: new Map(Object.entries(snapshot.processes)),
  log: snapshot.log,
  rows: ROWS,
};

// ---- events ---------------------------------------------------------------------------------------------------

const apply = {
  sweep(data) {
    const before = state.sweep;
    state.sweep = { ...before, ...data };
    dirty("sweep");
    if (before.state !== state.sweep.state) dirty("trials", "losses", "processes");
    if (before.best?.number !== state.sweep.best?.number) dirty("trials", "curves");
  },
  stage(data) {
    const at = state.stages.findIndex((stage) => stage.index === data.index);
    if (at < 0) state.stages.push(data);
    else state.stages[at] = { ...state.stages[at], ...data };
    dirty("sweep", "space");
  },
  trial(data) {
    const before = state.trials.get(data.number);
    if (before && data.attempt !== before.attempt) state.curves.delete(data.number);
    const { curve, ...row } = data;
    state.trials.set(data.number, { ...before, ...row });
    if (curve?.length) state.curves.set(data.number, curve);
    dirty("trials", "sweep", "losses", "curves");
  },
  progress(data) {
    for (const [key, { step, points }] of Object.entries(data.trials ?? {})) {
      const number = Number(key);
      const curve = state.curves.get(number) ?? [];
      const last = curve.length ? curve[curve.length - 1][0] : -1;
      curve.push(...(points ?? []).filter((point) => point[0] > last));
      state.curves.set(number, curve);
      const trial = state.trials.get(number);
      if (trial?.state === "RUNNING" && step > (trial.step ?? 0)) trial.step = step;
    }
    dirty("curves", "trials");
  },
  process(data) {
    state.processes.set(`${data.role}_${data.index}`, data);
    dirty("processes");
  },
  log(data) {
    state.log.push(...(data.lines ?? []));
    if (state.log.length > LINES) state.log.splice(0, state.log.length - LINES);
    dirty("log");
  },
};

let rejoin = () => {};

function receive({ sweep, events }) {
  if (sweep !== state.sweep.id) return;
  for (const event of events) {
    if (event.seq <= state.seq) continue;
    if (event.seq !== state.seq + 1) {
      rejoin();
      return;
    }
    state.seq = event.seq;
    apply[event.type]?.(event.data);
  }
}

// ---- drawing: what changed, at most five times a second -------------------------------------------------------

const waiting = new Set();
let timer = 0;
function dirty(...parts) {
  parts.forEach((part) => waiting.add(part));
  timer ||= setTimeout(() => {
    timer = 0;
    const now = [...waiting];
    waiting.clear();
    now.forEach((part) => draw[part]());
  }, 200);
}

const draw = {
  sweep() {
    const { sweep } = state;
    const progress = sweep.progress ?? {};
    const ended = ENDED.includes(sweep.state);
    const done = (progress.done ?? 0) + (progress.failed ?? 0);
    find("state").replaceChildren(badge(shownState(sweep, ended)));
    find("subtitle").textContent = [
      `Owner: ${sweep.owner}`,
      sweep.machine && `on ${sweep.machine}`,
      sweep.restarts > 0 && `restarted ${sweep.restarts} time${sweep.restarts === 1 ? "" : "s"}`,
    ].filter(Boolean).join(" · ");
    const stage = sweep.state === "QUEUED" ? null : currentStage();
    find("stage").replaceChildren(...(stage === null ? [dash] : big(stage + 1, `of ${state.stages.length}`)));
    find("trials-done").replaceChildren(
      ...big(count(progress.done ?? 0), `of ${count(progress.total)}${progress.failed ? ` · ${count(progress.failed)} failed` : ""}`),
    );
    find("time-label").textContent = ended ? "Took" : "Time left";
    find("time-left").textContent = ended
      ? duration((Date.parse(sweep.finished) - Date.parse(sweep.started)) / 1000)
      : sweep.state === "QUEUED" ? "waiting" : duration(progress.seconds_left);
    find("best-loss").textContent = loss(sweep.best?.loss);
    const bar = find("progress");
    bar.max = progress.total || 1;
    bar.value = done;
    stageBar(sweep);
    best(sweep.best);
    confirmed(sweep.confirmed ?? [], progress, sweep.baseline);
    failure(sweep, ended);
    find("machine").textContent = sweep.machine ?? "";
    find("connection").hidden = ended; // nothing more will come
    if (sweep.run_id !== null && sweep.run_id !== undefined) {
      find("run-link").hidden = false;
      find("run-link").href = `/history/${encodeURIComponent(sweep.run_id)}`;
    }
    const stop = find("stop");
    if (find("actions")) find("actions").hidden = ended;
    if (stop) {
      stop.hidden = ended;
      stop.disabled = Boolean(sweep.stop_requested);
      stop.textContent = sweep.stop_requested ? "Stopping…" : "Stop";
      const pause = find("pause");
      pause.hidden = !["RUNNING", "PAUSED"].includes(sweep.state) || Boolean(sweep.stop_requested);
      pause.textContent = sweep.pause_requested ? "Resume" : "Pause";
    }
    document.title = ended
      ? `${capital(sweep.state)} · ${sweep.name} – NHOP`
      : `${count(done)}/${count(progress.total)} · ${sweep.name} – NHOP`;
  },

  losses() {
    const points = finished();
    find("losses-empty").hidden = points.length > 0;
    if (ENDED.includes(state.sweep.state)) find("losses-empty").textContent = "No trial has finished.";
    losses.update();
    if (points.length) {
      find("losses").setAttribute("aria-label", `Loss of ${points.length} finished trials; the best is ${loss(state.sweep.best?.loss)}. The table below has all values.`);
    }
  },

  curves() {
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
  },

  trials() {
    const numbers = [...state.trials.keys()].sort((a, b) => b - a);
    find("trials-empty").hidden = numbers.length > 0;
    find("trial-rows").parentElement.hidden = numbers.length === 0;
    const shown = numbers.slice(0, state.rows).filter((number) => !state.trials.get(number).brief);
    const place = find("trial-rows");
    const rows = shown.map(trialRow);
    if (rows.length !== place.children.length || rows.some((row, index) => place.children[index] !== row)) place.replaceChildren(...rows);
    find("trials-shown").textContent = numbers.length === 0 ? "" : numbers.length > shown.length ? `the newest ${count(shown.length)} of ${count(numbers.length)}` : "newest first";
    find("more-trials").hidden = numbers.length <= shown.length;
  },

  processes() {
    const order = { chief: 0, optimizer: 0, ps: 1, worker: 2 };
    const all = [...state.processes.values()].sort(
      (a, b) => (order[a.role] ?? 3) - (order[b.role] ?? 3) || (a.index ?? 0) - (b.index ?? 0),
    );
    find("processes-empty").hidden = all.length > 0;
    find("processes").replaceChildren(...all.map(process));
    const missing = ENDED.includes(state.sweep.state) ? [] : all.filter((item) => item.state === "missing");
    find("missing").hidden = missing.length === 0;
    find("missing").textContent = missing.length === 0 ? "" : [
      `${missing.map((item) => `${processName(item)} at ${item.address}`).join(" and ")} ${missing.length > 1 ? "do" : "does"} not answer.`,
      missing.every((item) => item.role === "worker") && state.config.missing_hosts !== "wait"
        ? "The sweep goes on with the other workers, and uses it when it answers."
        : "The sweep waits for it.",
    ].join(" ");
  },

  space() {
    const begun = state.stages.filter((stage) => stage.space);
    find("space-empty").hidden = begun.length > 0;
    find("space").parentElement.hidden = begun.length === 0;
    find("space-head").replaceChildren(
      element("tr", {}, element("th", { scope: "col" }, "Axis"), ...begun.map((stage) =>
        element("th", { scope: "col" }, `Stage ${stage.index + 1} `, element("span", { class: "unit" }, `${count(stage.steps)} × ${count(stage.trials)}`)))),
    );
    const axes = [...new Set(begun.flatMap((stage) => Object.keys(stage.space)))].filter((name) => !name.startsWith("units_"));
    if (begun.some((stage) => stage.space.units_1)) axes.push("units_1");
    find("space").replaceChildren(...axes.map((name) =>
      element("tr", {}, element("th", { scope: "row" }, axisName(name)), ...begun.map((stage) => element("td", {}, axis(stage.space[name]))))));
  },

  log() {
    const place = find("log");
    const follow = find("log-follow").checked;
    if (!state.log.length) {
      place.replaceChildren(element("div", { class: "log-none" }, "Nothing has been written yet."));
      return;
    }
    place.replaceChildren(...state.log.map((line) =>
      element("div", { class: `log-line level-${String(line.level ?? "info").toLowerCase()}` }, element("time", {}, clock(line.at)), line.text ?? "")));
    if (follow) place.scrollTop = place.scrollHeight;
  },
};

// ---- parts ----------------------------------------------------------------------------------------------------

function big(value, rest) {
  return [String(value), " ", element("small", {}, rest)];
}

function sample(text, kind) {
  return element("span", {}, element("i", { class: kind }), text);
}

function currentStage() {
  const given = state.sweep.progress?.stage;
  if (isNumber(given)) return Math.min(given, state.stages.length - 1);
  const begun = state.stages.filter((stage) => stage.space).map((stage) => stage.index);
  return begun.length ? Math.max(...begun) : null;
}

// One part for each stage, as wide as its share of the trials; the stages' own counts of ended trials fill it.
function stageBar(sweep) {
  const place = find("stage-bar");
  if (place.children.length !== state.stages.length) {
    place.replaceChildren(...state.stages.map(() => element("span", {}, element("span"))));
  }
  const total = state.stages.reduce((sum, stage) => sum + stage.trials, 0) || 1;
  const ended = new Map();
  for (const trial of state.trials.values()) {
    const share = ["COMPLETED", "PRUNED", "FAILED"].includes(trial.state) ? 1
      : trial.state === "RUNNING" && trial.steps ? Math.min(1, stepOf(trial) / trial.steps) : 0;
    if (!trial.confirms) ended.set(trial.stage, (ended.get(trial.stage) ?? 0) + share);
  }
  const current = currentStage();
  state.stages.forEach((stage, index) => {
    const part = place.children[index];
    part.style.flex = `${stage.trials / total} 1 0`;
    const over = sweep.state === "COMPLETED" || (current !== null && stage.index < current);
    part.firstChild.style.width = `${over ? 100 : Math.min(100, (100 * (ended.get(stage.index) ?? 0)) / stage.trials)}%`;
  });
  place.classList.toggle("ended-failed", sweep.state === "FAILED");
}

function best(found) {
  find("best-empty").hidden = Boolean(found);
  find("best-trial").textContent = found ? `trial ${found.number}` : "";
  if (!found) {
    find("best").replaceChildren();
    return;
  }
  const figures = Object.entries(state.trials.get(found.number)?.figures ?? {}).map(([name, value]) => [FIGURES[name] ?? name, figure(name, value)]);
  const rows = [["loss", loss(found.loss)], ...figures, ["network", network(found.params)], ...parameters(found.params)];
  const explained = state.trials.get(found.number)?.figures?.r2;
  if (isNumber(explained) && explained < 0.05) rows.push(["worth", "hardly more than predicting the mean"]);
  find("best").replaceChildren(...rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, capital(name)), element("dd", {}, value)]));
}

function shownState(sweep, ended) {
  if (!ended && sweep.stop_requested) return "stopping";
  if (sweep.state === "RUNNING" && sweep.pause_requested) return "pausing";
  if (sweep.state === "PAUSED" && !sweep.pause_requested) return "resuming";
  return sweep.state;
}

const FIGURES = { error: "error rate", mae: "mean absolute error", r2: "R²", rmse: "root mean squared error", loss: "loss" };

// A figure as people read it: error rates in per cent.
function figure(name, value) {
  if (name === "error") return isNumber(value) ? `${(100 * value).toFixed(1)} %` : dash;
  return loss(value);
}

// What the best configurations are worth on the test part.
function confirmed(list, progress, baseline) {
  const waiting = progress.to_confirm > 0 && list.length === 0;
  find("confirmed-card").hidden = list.length === 0 && !waiting;
  find("confirmed-wait").hidden = !waiting;
  find("confirmed-wait").textContent = waiting ? `The best configurations are trained again from other seeds: ${count(progress.confirmed)} of ${count(progress.to_confirm)}.` : "";
  const least = Math.min(...list.map((one) => one.figures.rmse?.mean ?? Infinity));
  find("baseline").textContent = list.length && baseline && Number.isFinite(least)
    ? `Plain linear regression on the same parts has a test RMSE of ${loss(baseline.rmse)}: ${least < baseline.rmse ? "the network is better" : "the network is not better"}.`
    : "";
  find("confirmed").replaceChildren(...list.map((one) => {
    const name = ["rmse", "error", "loss"].find((key) => one.figures[key]);
    const spread = one.figures[name];
    return element("tr", {},
      element("td", { class: "num" }, String(one.trial)),
      element("td", { class: "num" }, loss(one.loss)),
      element("td", { class: "num" }, one.figures.loss ? loss(one.figures.loss.mean) : dash),
      element("td", { class: "num" }, name ? `${figure(name, spread.mean)} ± ${figure(name, spread.std)}` : "every training failed"),
      element("td", { class: "num" }, one.failed ? `${one.seeds} (${one.failed} failed)` : String(one.seeds)),
    );
  }));
  const name = list.some((one) => one.figures.error) ? "error rate" : "RMSE";
  find("confirmed-figure").textContent = `Test ${name}`;
}

function failure(sweep, ended) {
  find("failure").hidden = sweep.state !== "FAILED";
  find("failure-text").textContent = sweep.error ?? "No reason was recorded; the log below may tell.";
  const notice = find("waiting");
  const text = sweep.state === "QUEUED" && !sweep.stop_requested
    ? "Queued: it starts as soon as a machine is free, within a few seconds on an idle one."
    : !ended && sweep.stop_requested ? "Stopping: the trials in training end where they are."
    : sweep.state === "PAUSED" && sweep.pause_requested ? "Paused: the trials in training wait where they are, in memory. Resume lets them go on." : "";
  notice.hidden = !text;
  notice.textContent = text;
}

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

// How far a trial is: its row says so, or its curve, whichever is newer.
function stepOf(trial) {
  const curve = state.curves.get(trial.number);
  return Math.max(trial.step ?? 0, curve?.length ? curve[curve.length - 1][0] : 0);
}

const rowsByNumber = new Map();

function trialRow(number) {
  const trial = state.trials.get(number);
  const isBest = state.sweep.best?.number === number;
  const key = JSON.stringify([trial, isBest, stepOf(trial), steered()]);
  const kept = rowsByNumber.get(number);
  if (kept?.key === key) return kept.row;
  const row = kept?.row ?? element("tr");
  const running = trial.state === "RUNNING";
  const step = stepOf(trial);
  const share = element("span");
  share.style.width = `${Math.min(100, (100 * step) / (trial.steps || 1))}%`;
  const error = trial.error
    ? element("details", { class: "trial-error" }, element("summary", {}, String(trial.error).trim().split("\n").at(-1).slice(0, 120)), element("pre", {}, trial.error))
    : null;
  row.className = isBest ? "is-best" : "";
  row.replaceChildren(
    element("td", { class: "num" }, String(number), isBest ? element("span", { class: "visually-hidden" }, " (best)") : null),
    element("td", { class: "num" }, trial.confirms ? element("span", { class: "unit", title: `Trains trial ${trial.confirms}'s configuration again from another seed` }, `confirms ${trial.confirms}`) : isNumber(trial.stage) ? String(trial.stage + 1) : dash),
    element("td", {}, badge(trial.state), trial.attempt > 1 ? element("span", { class: "unit" }, ` attempt ${trial.attempt}`) : null),
    element("td", { class: "mono" }, network(trial.params)),
    element("td", { class: error ? "wrap" : "" }, inShort(trial.params), error),
    element("td", { class: "num" }, running ? element("span", { class: "mini", "aria-hidden": "true" }, share) : null, trial.state === "COMPLETED" || step === 0 ? count(step || trial.steps) : `${count(step)} / ${count(trial.steps)}`),
    element("td", { class: "num" }, loss(trial.train_loss)),
    element("td", { class: "num" }, loss(trial.val_loss), isNumber(trial.figures?.error) ? element("span", { class: "unit" }, ` ${figure("error", trial.figures.error)} wrong`) : null),
    element("td", { class: "num" }, duration(trial.seconds)),
    element("td", { class: "num" }, (trial.worker ?? dash).replace("worker_", "")),
  );
  if (steered()) row.append(element("td", { class: "num" }, running ? endButton(number) : null));
  rowsByNumber.set(number, { key, row });
  return row;
}

const SHORT = { "batch size": "batch ", "learning rate": "rate ", optimizer: "", activation: "" };

// batch 342 · rate 0.0007 · sgd · relu
function inShort(params) {
  return parameters(params).map(([name, value]) => `${SHORT[name] ?? `${name} `}${value}`).join(" · ");
}

const ROLES = { ps: "PS", worker: "Worker", chief: "Chief", optimizer: "Optimizer" };

function processName(item) {
  return `${ROLES[item.role] ?? item.role}${item.role === "chief" || item.role === "optimizer" ? "" : ` ${item.index}`}`;
}

function process(item) {
  const name = processName(item);
  return element(
    "li",
    {},
    element("span", { class: "process-name" }, name),
    element("span", { class: "process-where" }, [item.address, item.pid && `pid ${item.pid}`].filter(Boolean).join(" · ")),
    badge(item.state, item.state === "stopped" ? "ended" : item.state),
    item.detail ? element("span", { class: "process-detail" }, item.detail) : null,
  );
}

function axisName(name) {
  const words = state.config.nn_model === "Regressor"
    ? { layers: "hidden layers", units_1: "nodes per layer" }
    : { layers: "layers", units_1: "units per layer" };
  return { ...words, train_optimizer: "training optimizer" }[name] ?? name.replaceAll("_", " ");
}

function axis(item) {
  if (!item) return dash;
  if (item.kind === "categorical") return item.choices.join(", ");
  const show = (value) => (item.kind === "int" ? count(value) : String(Number(value.toPrecision(3))));
  return item.low === item.high ? show(item.low) : `${show(item.low)} – ${show(item.high)}${item.log ? " (log)" : ""}`;
}

function clock(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB");
}

// ---- charts ---------------------------------------------------------------------------------------------------

const losses = new Chart(
  find("losses"),
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
  find("curves"),
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

find("losses-log").addEventListener("change", (event) => losses.setLog(event.target.checked));
find("curves-log").addEventListener("change", (event) => curves.setLog(event.target.checked));
find("more-trials").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const full = [...state.trials.values()].filter((trial) => !trial.brief).map((trial) => trial.number);
  state.rows += MORE_ROWS;
  if (state.rows > full.length && full.length < state.trials.size) {
    button.disabled = true;
    try {
      const answer = await fetch(`${location.pathname}/trials?before=${Math.min(...full)}`);
      if (answer.ok) for (const trial of await answer.json()) state.trials.set(trial.number, trial);
    } catch { /* the server is away: the button stays for another try */ }
    button.disabled = false;
  }
  draw.trials();
});

// ---- steering -------------------------------------------------------------------------------------------------

// Whether this viewer may still act on the sweep.
function steered() {
  return Boolean(find("token")) && !ENDED.includes(state.sweep.state);
}

async function post(path) {
  const refused = find("refused");
  let reason = "The server does not answer; try again.";
  try {
    const body = new URLSearchParams({ csrf_token: find("token").value });
    const answer = await fetch(`${location.pathname}/${path}`, { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.ok) {
      refused.hidden = true;
      return true;
    }
    reason = (await answer.json()).detail;
  } catch { /* said below */ }
  refused.textContent = reason;
  refused.hidden = false;
  return false;
}

find("pause")?.addEventListener("click", async (event) => {
  const pause = !state.sweep.pause_requested;
  const button = event.currentTarget;
  button.disabled = true;
  if (await post(pause ? "pause" : "resume")) apply.sweep({ pause_requested: pause });
  button.disabled = false;
});

function endButton(number) {
  const button = element("button", { type: "button", class: "btn btn-sm btn-quiet", title: "Its result is not used; the sweep goes on." }, "End", element("span", { class: "visually-hidden" }, ` trial ${number}`));
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.disabled = await post(`trials/${number}/end`);
  });
  return button;
}

// ---- stopping -------------------------------------------------------------------------------------------------

const dialog = find("stop-dialog");
find("stop")?.addEventListener("click", () => dialog.showModal());
find("stop-cancel")?.addEventListener("click", () => dialog.close());
find("stop-form")?.addEventListener("submit", () => {
  dialog.close();
  apply.sweep({ stop_requested: true });
});

// ---- start ----------------------------------------------------------------------------------------------------

Object.values(draw).forEach((part) => part());
const socket = connect((open, done) => open.emit("join", { sweep: state.sweep.id, after: state.seq }, done));
let joining = false;
rejoin = () => {
  if (joining) return;
  joining = true;
  socket.emit("join", { sweep: state.sweep.id, after: state.seq }, (answer) => {
    joining = false;
    if (answer?.reload) location.reload();
  });
};
socket.on("events", receive);
