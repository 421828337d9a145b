// Losses by trial with the best so far: completed trials are dots, pruned ones triangles, failed ones crosses at the top.
import { axisLook, legendLook, zoomLook } from "./look.js";
import { scale, scaleOf } from "./scale.js";
import { lossLine, open, tell } from "./trials.js";
import { count, loss } from "../text.js";

const CROSS = "path://M0 0L10 10M10 0L0 10";
const BUCKETS = 500;
const MOST_OTHERS = 500;

// The lowest and highest of each of at most BUCKETS runs of trials, beside what *kept* names.
function thinned(points, kept) {
  if (points.length <= 4 * BUCKETS) return points;
  const size = Math.ceil(points.length / BUCKETS);
  const shown = [];
  for (let at = 0; at < points.length; at += size) {
    const run = points.slice(at, at + size);
    const low = run.reduce((a, b) => (b.loss < a.loss ? b : a));
    const high = run.reduce((a, b) => (b.loss > a.loss ? b : a));
    shown.push(...run.filter((point) => point === low || point === high || kept.has(point.number)));
  }
  return shown;
}

function evenly(points) {
  if (points.length <= MOST_OTHERS) return points;
  return Array.from({ length: MOST_OTHERS }, (_, at) => points[Math.floor((at * points.length) / MOST_OTHERS)]);
}

// {completed, pruned, failed: [{number, loss, state}], best} → with the best so far, thinned to what can be told apart.
function prepared({ completed, pruned, failed }) {
  let least = Infinity;
  const best = completed.filter((point) => point.loss < least && ((least = point.loss), true));
  return { completed: thinned(completed, new Set(best.map((point) => point.number))), pruned: evenly(pruned), failed: evenly(failed), best };
}

export const losses = {
  words: ({ completed, pruned, failed, ended }) =>
    (completed.length + pruned.length + failed.length > 0 ? "" : ended ? "No trial has finished." : "The first finished trial appears here."),
  say: ({ completed, pruned, failed, best }) =>
    `Loss of ${count(completed.length)} completed, ${count(pruned.length)} pruned and ${count(failed.length)} failed trials; the best is ${loss(best)}.`,
  table: ({ completed, pruned, failed }) => {
    const bests = new Map(prepared({ completed, pruned, failed }).best.map((point) => [point.number, point.loss]));
    let least = null;
    return {
      columns: ["trial", "state", "loss", "best so far"],
      rows: [...completed, ...pruned, ...failed].sort((a, b) => a.number - b.number).map((point) => {
        least = bests.get(point.number) ?? least;
        return [point.number, point.state, point.loss, least];
      }),
    };
  },
  open: (event) => open(event.value?.[2]),
  option: (data, { log, look: colours }) => {
    const { completed, pruned, failed, best } = prepared(data);
    const y = scaleOf([...data.completed, ...data.pruned].map((point) => point.loss), log);
    const last = Math.max(0, ...[...data.completed, ...data.pruned, ...data.failed].map((point) => point.number));
    const x = scale({ low: 1, high: Math.max(last, 2), whole: true });
    const at = (points, place = (point) => y.place(point.loss)) => points.map((point) => [point.number, place(point), point.number, point.loss]);
    const many = completed.length > 300;
    const steps = at(best);
    if (steps.length) steps.push([last, steps.at(-1)[1], steps.at(-1)[2], steps.at(-1)[3]]);
    const tip = ({ value, seriesName }, ticket, later) =>
      tell(value[2], [seriesName === "failed" ? "ended without a loss" : lossLine(value[3])], ticket, later);
    return {
      legend: legendLook(colours, { itemWidth: 12, data: ["completed", "pruned", "failed", "best so far"].filter((name) => ({ completed, pruned, failed }[name]?.length !== 0)) }),
      grid: { left: 8, right: 14, top: 30, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axisLook(colours, { ...x.axis, name: "trial", nameGap: 24, splitLine: { show: false } }),
      yAxis: axisLook(colours, y.axis),
      dataZoom: zoomLook(),
      tooltip: { trigger: "item", formatter: tip },
      series: [
        { name: "completed", type: "scatter", data: at(completed), symbolSize: many ? 5 : 8, itemStyle: { color: colours.palette[0], opacity: many ? 0.7 : 0.9 }, cursor: "pointer" },
        { name: "pruned", type: "scatter", data: at(pruned), symbol: "triangle", symbolRotate: 180, symbolSize: many ? 6 : 9, itemStyle: { color: "transparent", borderColor: colours.violet, borderWidth: 1.5 }, cursor: "pointer" },
        { name: "failed", type: "scatter", data: at(failed, () => y.high), symbol: CROSS, symbolSize: many ? 6 : 9, itemStyle: { color: "transparent", borderColor: colours.red, borderWidth: 2 }, cursor: "pointer" },
        { name: "best so far", type: "line", step: "end", data: steps, showSymbol: false, lineStyle: { color: colours.gold, width: 2.5 }, itemStyle: { color: colours.gold }, symbol: "none", z: 1 },
      ],
    };
  },
};
