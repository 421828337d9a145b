// Charts with uPlot, in the colours of the page; they follow the theme and the width of their place.
import uPlot from "../vendor/uplot-1.6.32/uPlot.esm.js";
import { loss } from "./text.js";

const HEIGHT = 250;
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const palette = (index) => colour(`--c${index % 6}`);

const all = new Set();
document.addEventListener("nhop:theme", () => all.forEach((chart) => chart.rebuild()));
new ResizeObserver(() => all.forEach((chart) => chart.fit())).observe(document.documentElement);

// A chart in *place*. draw() gives {series: [{label, stroke, …}], data: [xs, ys, …]}; it is made anew when the
// series change, and only redrawn when the points do.
export class Chart {
  constructor(place, draw, { xLabel, log = false, points = false } = {}) {
    Object.assign(this, { place, draw, xLabel, log, points, plot: null, key: "" });
    all.add(this);
  }

  setLog(log) {
    this.log = log;
    this.rebuild();
  }

  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    this.update();
  }

  fit() {
    const width = this.place.clientWidth;
    if (this.plot && width > 0 && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: HEIGHT });
  }

  update() {
    const { series, data, key } = this.draw();
    if (data.length < 2 || data[0].length === 0) {
      this.plot?.destroy();
      this.plot = null;
      return;
    }
    const shown = this.log ? [data[0], ...data.slice(1).map((ys) => ys.map(positive))] : data;
    if (this.plot && key === this.key) {
      this.plot.setData(shown);
      return;
    }
    this.plot?.destroy();
    this.key = key;
    this.plot = new uPlot(this.options(series), shown, this.place);
  }

  options(series) {
    const axis = {
      stroke: colour("--ink-soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
    };
    const whole = (_, ticks) => ticks.map((tick) => (tick === null ? "" : Number.isInteger(tick) ? tick.toLocaleString("en") : ""));
    return {
      width: Math.max(this.place.clientWidth, 200),
      height: HEIGHT,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      scales: { x: { time: false, range: xRange }, y: { distr: this.log ? 3 : 1, range: this.log ? logRange : undefined } },
      axes: [
        { ...axis, label: this.xLabel, size: 28, labelSize: 18, labelGap: 0, values: whole },
        this.log
          ? { ...axis, size: 64, splits: logTicks, filter: (_, ticks) => ticks, values: logLabels }
          : { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : loss(tick))) },
      ],
      series: [{}, ...series.map((item) => ({ width: 2, spanGaps: true, points: { show: false }, ...item }))],
      plugins: [tip()],
    };
  }
}

// A logarithmic axis has no place for zero, and uPlot's ticks none for what is smaller than this.
const LEAST = 1e-14;
const positive = (y) => (y === undefined ? undefined : y >= LEAST ? y : null);

// The ticks of a logarithmic axis: 1 to 9 of each power of ten, or the powers alone where there are many, or even
// parts of a range too narrow for those. (uPlot's own never end for some ranges.)
function logTicks(_, __, low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const digits = last - first > 6 ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    for (const digit of digits) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  if (ticks.length > 2) return ticks;
  return [1, 2, 3, 4].map((part) => low + ((high - low) * part) / 5);
}

// Labels for about half a dozen of those ticks.
function logLabels(_, ticks) {
  const decades = Math.log10(ticks.at(-1) / ticks[0]);
  const wanted = decades > 2.2 ? ["1"] : decades > 0.8 ? ["1", "2", "5"] : decades > 0.4 ? ["1", "2", "3", "5", "7"] : null;
  const every = Math.ceil(decades / 6);
  return ticks.map((tick) => {
    const [digit, power] = tick.toExponential(0).split("e");
    const chosen = wanted === null || (wanted.includes(digit) && (decades <= 6 || Number(power) % every === 0));
    return chosen ? loss(tick) : "";
  });
}

function xRange(_, low, high) {
  if (low === null) return [0, 1];
  const space = low === high ? 1 : (high - low) * 0.02;
  return [low - space, high + space];
}

function logRange(_, low, high) {
  if (low === null || !(low > 0)) return [0.01, 1];
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const space = Math.max((to - from) * 0.08, 0.08);
  return [10 ** (from - space), 10 ** (to + space)];
}

// The values under the pointer, in a small box.
function tip() {
  let box;
  return {
    hooks: {
      init: (plot) => {
        box = document.createElement("div");
        box.className = "chart-tip";
        box.hidden = true;
        plot.over.append(box);
        plot.over.addEventListener("mouseleave", () => { box.hidden = true; });
      },
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        if (idx === null || idx === undefined || left < 0) { box.hidden = true; return; }
        const lines = [];
        plot.series.forEach((item, at) => {
          const value = at > 0 ? plot.data[at][idx] : null;
          if (at > 0 && value !== null && value !== undefined) lines.push(`${item.label} ${loss(value)}`);
        });
        box.hidden = lines.length === 0;
        box.textContent = [`${plot.axes[0].label} ${plot.data[0][idx].toLocaleString("en")}`, ...lines.slice(0, 8)].join("\n");
        const onRight = left > plot.over.clientWidth / 2;
        box.style.left = onRight ? "auto" : `${left + 12}px`;
        box.style.right = onRight ? `${plot.over.clientWidth - left + 12}px` : "auto";
      },
    },
  };
}

// The points of several curves on one axis: [{steps, values: [ys, …]}] → [xs, ys, …].
export function aligned(curves) {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, index) => [step, index]));
  const columns = curves.flatMap((curve) =>
    curve.values.map((values) => {
      const column = new Array(steps.length).fill(undefined);
      curve.steps.forEach((step, index) => { column[place.get(step)] = values[index] ?? undefined; });
      return column;
    }),
  );
  return [steps, ...columns];
}
