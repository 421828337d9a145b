// The state of the sweep: the page's snapshot, then its events, in order and without gaps.
import { on, tell } from "./bus.js";
import { connect } from "../socket.js";
import { island } from "../text.js";

const ENDED = ["COMPLETED", "FAILED", "STOPPED"];
const LINES = 2000;
const ROWS = 1000; // of trials that have ended, the newest; older ones are known as the snapshot knows them
const CURVES = 50;
const ANSWER_MS = 15_000; // an answer that comes no more after this

const snapshot = island("snapshot");

export const state = {
  seq: snapshot.seq,
  sweep: snapshot.sweep,
  config: snapshot.config,
  stages: snapshot.stages,
  // Older trials are known by number, stage, state and loss; their rows are fetched when they are looked at.
  trials: new Map([
    ...snapshot.older.map(([number, stage, at, lost]) => [number, { number, stage, state: at, loss: lost, brief: true }]),
    ...snapshot.trials.map((trial) => [trial.number, trial]),
  ]),
  curves: new Map(Object.entries(snapshot.curves).map(([number, points]) => [Number(number), points])),
  processes: new Map(Object.entries(snapshot.processes)),
  resources: new Map(Object.entries(snapshot.resources ?? {})),
  queue: snapshot.queue,
  unowned: false, // its optimizer is silent: the machine may be gone
  titles: snapshot.titles,
  edits: snapshot.edits,
  log: snapshot.log,
};

// Of what has been added, keep so many; the page's own trials and the best stay.
export const own = new Set();

function keeper(most, drop) {
  const held = new Set();
  return (number) => {
    held.delete(number);
    held.add(number);
    for (const oldest of held) {
      if (held.size <= most) return;
      held.delete(oldest);
      if (oldest !== state.sweep.best?.number && !own.has(oldest)) drop(oldest);
    }
  };
}

const holdRow = keeper(ROWS, (oldest) => {
  const { number, stage, state: at, loss, val_loss, train_loss, confirms, retries } = state.trials.get(oldest);
  if (at !== "RUNNING") state.trials.set(oldest, { number, stage, state: at, loss, val_loss, train_loss, confirms, retries, brief: true });
});
const holdCurve = keeper(CURVES, (oldest) => state.curves.delete(oldest));

// Have the row of a trial; a page that is open for days holds no more of them than one that was opened now.
export function hold(trial) {
  state.trials.set(trial.number, trial);
  if (trial.state === "RUNNING") return;
  holdRow(trial.number);
  if (state.curves.has(trial.number)) holdCurve(trial.number);
}
snapshot.trials.forEach(hold);

export const hasEnded = () => ENDED.includes(state.sweep.state);

// How far a trial is: its row says so, or its curve, whichever is newer.
export function stepOf(trial) {
  const curve = state.curves.get(trial.number);
  return Math.max(trial.step ?? 0, curve?.length ? curve[curve.length - 1][0] : 0);
}

const apply = {
  sweep(data) {
    state.sweep = { ...state.sweep, ...data };
  },
  stage(data) {
    const at = state.stages.findIndex((stage) => stage.index === data.index);
    if (at < 0) state.stages.push(data);
    else state.stages[at] = { ...state.stages[at], ...data };
  },
  trial(data) {
    const before = state.trials.get(data.number);
    if (before && data.attempt !== before.attempt) state.curves.delete(data.number);
    const { curve, ...row } = data;
    if (curve?.length) state.curves.set(data.number, curve);
    hold({ ...before, ...row, brief: false });
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
  },
  process(data) {
    state.processes.set(`${data.role}_${data.index}`, data);
  },
  resources(data) {
    state.resources = new Map(Object.entries(data.processes ?? {}));
  },
  edit(data) {
    if (!state.edits.some((edit) => edit.version === data.version)) state.edits.push(data);
    for (const [key, [, after]] of Object.entries(data.changes ?? {})) state.config[key] = after;
  },
  log(data) {
    state.log.push(...(data.lines ?? []));
    if (state.log.length > LINES) state.log.splice(0, state.log.length - LINES);
  },
};

// Bring the state to what an event says, and tell everybody who follows its type.
export function take(type, data, at = null) {
  apply[type]?.(data);
  tell(type, data, at);
}

// Follow the sweep: what was missed, then what comes, also after the connection was lost or the computer slept.
export function start() {
  const where = () => ({ sweep: state.sweep.id, after: state.seq });
  const join = (open, done) => {
    if (state.unowned) { // it may be heard of again; if it is not, this is told anew
      state.unowned = false;
      tell("sweep", {}, null);
    }
    open.timeout(ANSWER_MS).emit("join", where(), (late, answer) => done(late ? { retry: true } : answer));
  };
  const socket = connect(join, hasEnded);
  let joining = false;
  const rejoin = () => {
    if (joining || !socket.connected) return; // a new connection joins by itself
    joining = true;
    join(socket, (answer) => {
      joining = false;
      if (answer?.reload) location.reload();
      else if (answer?.retry) setTimeout(rejoin, 1500);
    });
  };
  socket.on("owner", ({ sweep, silent }) => {
    if (sweep !== state.sweep.id) return;
    state.unowned = silent;
    tell("sweep", {}, null);
  });
  socket.on("events", ({ sweep, events }) => {
    if (sweep !== state.sweep.id) return;
    for (const event of events) {
      if (event.seq <= state.seq) continue;
      if (event.seq !== state.seq + 1) {
        rejoin();
        return;
      }
      state.seq = event.seq;
      take(event.type, event.data, event.at);
    }
  });
  on("sweep", socket.renew);
  return socket;
}
