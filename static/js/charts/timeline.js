// What each worker trained when: one bar a trial; how high it is says how the trial ended, as its colour does.
import { axisLook, legendLook, zoomLook } from "./look.js";
import { open, tell } from "./trials.js";
import { count, duration } from "../text.js";

// The height of a bar, as a part of its row; and the colour, of the palette or by its name.
const STATES = { COMPLETED: [0.8, 0], RUNNING: [0.8, "blue"], PRUNED: [0.5, "violet"], FAILED: [0.25, "red"], STOPPED: [0.25, "soft"], LOST: [0.25, "red"] };
const word = (state) => state.toLowerCase();
const called = (worker) => worker.replace("_", " ");

// The state that most of an interval's trials have.
function most(states, at) {
  return Object.entries(states).reduce((found, [state, counts]) => (counts[at] > (found[1] ?? 0) ? [state, counts[at]] : found), ["COMPLETED", 0])[0];
}

export const timeline = {
  words: ({ workers }) => (workers.length ? "" : "It is drawn when the first trial has begun."),
  say: ({ workers, total }) => `${count(total)} trials on ${workers.length} workers: ${workers.map((one) => `${called(one.worker)} trained ${Math.round(100 * one.busy)} % of the time`).join(", ")}.`,
  note: ({ workers, merged }) => [
    `Busy: ${workers.slice(0, 12).map((one) => `${called(one.worker)} ${Math.round(100 * one.busy)} %`).join(", ")}${workers.length > 12 ? ", …" : ""}.`,
    merged ? "A bar is of several trials that follow each other." : "",
  ].join(" ").trim(),
  rows: ({ workers }) => workers.length,
  height: (workers) => Math.max(180, 74 + 34 * workers),
  table: ({ workers }) => ({
    columns: ["worker", "trial", "trials", "starts at second", "ends at second", "seconds of training", "states"],
    rows: workers.flatMap(({ worker, intervals }) => intervals.number.map((number, at) => [
      called(worker), number, intervals.trials[at], intervals.start[at], intervals.end[at], intervals.busy[at],
      Object.entries(intervals.states).filter(([, counts]) => counts[at]).map(([state, counts]) => (counts[at] > 1 ? `${counts[at]} ${word(state)}` : word(state))).join(" "),
    ])),
  }),
  open: (event) => open(event.value?.[3]),
  option: ({ workers, end }, { look: colours }) => {
    const bars = new Map();
    workers.forEach(({ intervals }, row) => intervals.number.forEach((number, at) => {
      const state = most(intervals.states, at);
      bars.set(state, [...(bars.get(state) ?? []), [intervals.start[at], intervals.end[at], row, number, intervals.trials[at], intervals.busy[at]]]);
    }));
    const shown = Object.keys(STATES).filter((state) => bars.has(state));
    const colour = (state) => (typeof STATES[state][1] === "number" ? colours.palette[STATES[state][1]] : colours[STATES[state][1]]);
    return {
      legend: legendLook(colours, { data: shown.map((state) => ({ name: word(state), icon: "rect" })) }),
      grid: { left: 8, right: 24, top: 30, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axisLook(colours, { type: "value", min: 0, max: Math.max(end, 1), axisLabel: { formatter: (at) => (at === 0 ? "0" : duration(at)), showMaxLabel: false } }),
      yAxis: axisLook(colours, { type: "category", inverse: true, data: workers.map((one) => called(one.worker)), axisTick: { show: false }, splitLine: { show: false } }),
      dataZoom: zoomLook({ xAxisIndex: 0 }),
      tooltip: {
        trigger: "item",
        formatter: ({ value, seriesName }, ticket, later) => {
          const lasted = `${duration(value[0])} to ${duration(value[1])}`;
          if (value[4] > 1) return `${count(value[4])} trials from ${value[3]} on, mostly ${seriesName}\n${lasted}, ${duration(value[5])} of it training`;
          return tell(value[3], [lasted], ticket, later);
        },
      },
      series: shown.map((state) => ({
        name: word(state),
        type: "custom",
        clip: true,
        data: bars.get(state),
        encode: { x: [0, 1], y: 2 },
        itemStyle: { color: colour(state) },
        cursor: "pointer",
        renderItem: (_, api) => {
          const [left, middle] = api.coord([api.value(0), api.value(2)]);
          const [right] = api.coord([api.value(1), api.value(2)]);
          const height = api.size([0, 1])[1] * STATES[state][0];
          return { type: "rect", shape: { x: left, y: middle - height / 2, width: Math.max(1, right - left - 0.5), height }, style: { fill: api.visual("color") } };
        },
      })),
    };
  },
};
