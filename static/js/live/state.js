// The state of the sweep: the page's snapshot, then its events, in order and without gaps.
import { on, tell } from "./bus.js";
import { connect } from "../socket.js";
import { island } from "../text.js";

const ENDED = ["COMPLETED", "FAILED", "STOPPED"];
const LINES = 2000;

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
    state.trials.set(data.number, { ...before, ...row, brief: false });
    if (curve?.length) state.curves.set(data.number, curve);
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
  const socket = connect((open, done) => open.emit("join", where(), done), hasEnded);
  let joining = false;
  const rejoin = () => {
    if (joining) return;
    joining = true;
    socket.emit("join", where(), (answer) => {
      joining = false;
      if (answer?.reload) location.reload();
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
