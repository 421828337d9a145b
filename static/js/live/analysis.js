// The analysis: its charts ask the server for what they draw, while they are near the screen, and again when trials
// have ended, at most every few seconds.
import { on } from "./bus.js";
import { state } from "./state.js";
import { Chart } from "../charts/frame.js";
import { contour } from "../charts/contour.js";
import { edf } from "../charts/edf.js";
import { importance } from "../charts/importance.js";
import { parallel } from "../charts/parallel.js";
import { slice } from "../charts/slice.js";
import { timeline } from "../charts/timeline.js";
import { capital } from "../text.js";

const EVERY_MS = 5_000;
const LONGEST_MS = 60_000;
const ROUTE = `/sweeps/${encodeURIComponent(state.sweep.id)}/analysis`;
const stages = document.querySelector("[data-analysis-stage]");

class Source {
  // *query* gives what the kind asks for, or null while that is not known; *told* is called with each answer.
  constructor(name, kind, query = () => ({}), told = () => undefined) {
    Object.assign(this, { name, query, told, due: true, asking: null, timer: 0, at: -Infinity, wait: EVERY_MS });
    this.card = document.querySelector(`[data-chart="${name}"]`);
    this.chart = new Chart(this.card, kind, { every: 0, near: () => this.later() });
    this.reserve();
  }

  // Room for the axes, or the workers, until it is known what is drawn.
  reserve() {
    if (this.card.dataset.is !== "loading") return;
    const axes = new Set(state.stages.flatMap((stage) => Object.keys(stage.space ?? {})));
    this.chart.reserve(this.name === "timeline" ? state.config.worker_hosts.split(",").length : axes.size);
  }

  // What is drawn is out of date; *now*: something else is asked for, so nobody waits for it.
  renew(now = false) {
    this.due = true;
    if (now) {
      this.asking?.abort();
      clearTimeout(this.timer);
      Object.assign(this, { asking: null, timer: 0, at: -Infinity });
    }
    this.later();
  }

  later() {
    if (!this.due || !this.chart.seen || this.timer || this.asking || document.hidden) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.ask();
    }, Math.max(0, this.at + this.wait - performance.now()));
  }

  async ask() {
    const query = this.query();
    if (query === null) return;
    const asking = new AbortController();
    Object.assign(this, { due: false, asking });
    try {
      const asked = new URLSearchParams({ ...query, ...(stages.value ? { stage: stages.value } : {}) });
      const answer = await fetch(`${ROUTE}/${this.name}.json?${asked}`, { headers: { Accept: "application/json" }, signal: asking.signal });
      const data = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(data.detail ?? `the server answered ${answer.status}`);
      this.wait = EVERY_MS;
      this.told(data);
      this.chart.show(data);
    } catch (error) {
      if (asking.signal.aborted) return;
      Object.assign(this, { due: true, wait: Math.min(2 * this.wait, LONGEST_MS) });
      const reason = error instanceof TypeError ? "the server does not answer" : error.message;
      this.chart.fail(`${capital(reason[0])}${reason.slice(1).replace(/\.$/, "")}. It is asked again in ${this.wait / 1000} seconds.`);
    }
    if (this.asking !== asking) return;
    Object.assign(this, { asking: null, at: performance.now() });
    this.later();
  }
}

const [across, up] = ["x", "y"].map((name) => document.querySelector(`[data-chart="contour"] select[name="${name}"]`));

const remember = () => [across, up].forEach((select) => { select.dataset.before = select.value; });

// The two axes of the contour: the most important ones, or the first with numbers, until somebody chooses.
function offerAxes({ axes, labels }) {
  const ranked = axes.map((axis) => axis.name);
  const others = Object.keys(labels).filter((name) => !ranked.includes(name));
  const hasChoices = (name) => state.stages.some((stage) => stage.space?.[name]?.kind === "categorical");
  const names = [...ranked, ...others.toSorted((a, b) => hasChoices(a) - hasChoices(b))];
  const chosen = [across, up].map((select) => (names.includes(select.value) ? select.value : ""));
  [across, up].forEach((select, at) => {
    select.replaceChildren(...names.toSorted().map((name) => new Option(labels[name], name)));
    select.value = chosen[at] || names.find((name) => !chosen.includes(name)) || "";
    chosen[at] = select.value;
    select.disabled = names.length < 2;
  });
  remember();
  if (names.length < 2) sources.contour.chart.show({});
  sources.contour.later();
}

const sources = {
  importance: new Source("importance", importance, undefined, offerAxes),
  edf: new Source("edf", edf),
  parallel: new Source("parallel", parallel),
  slice: new Source("slice", slice),
  contour: new Source("contour", contour, () => (across.value && up.value ? { x: across.value, y: up.value } : null)),
  timeline: new Source("timeline", timeline),
};
const all = Object.values(sources);

for (const [select, other] of [[across, up], [up, across]]) {
  select.addEventListener("change", () => {
    if (select.value === other.value) other.value = select.dataset.before; // they change places
    remember();
    sources.contour.renew(true);
  });
}

function offerStages() {
  const begun = state.stages.filter((stage) => stage.space);
  if (stages.options.length === begun.length + 1) return;
  const chosen = stages.value;
  stages.replaceChildren(new Option("all stages", ""), ...begun.map((stage) => new Option(`stage ${stage.index + 1}`, stage.index)));
  stages.value = chosen;
}

stages.addEventListener("change", () => all.forEach((source) => source.renew(true)));
on(["trial", "stage"], () => all.forEach((source) => source.renew()));
on("stage", offerStages);
on("shown", () => all.forEach((source) => source.reserve()));
document.addEventListener("visibilitychange", () => all.forEach((source) => source.later()));
offerStages();
