// Learning curves: validation losses drawn through, training losses dashed, one colour a trial.
import { axisLook, legendLook, zoomLook } from "./look.js";
import { scale, scaleOf } from "./scale.js";
import { count, isNumber, loss } from "../text.js";

const DASH = [5, 4];

// Data: {curves: [{number, name, isBest, points: [[step, training, validation], …]}], empty}. *slots* keep a trial's colour while it
// is drawn.
export function curves(open = () => undefined) {
  const slots = [];
  const slot = (number) => slots.indexOf(number);
  const seat = (shown) => {
    slots.forEach((number, at) => { if (!shown.includes(number)) slots[at] = undefined; });
    for (const number of shown) {
      if (slots.includes(number)) continue;
      const free = slots.indexOf(undefined);
      slots[free < 0 ? slots.length : free] = number;
    }
  };
  return {
    words: (data) => (data.curves.length ? "" : data.empty),
    say: (data) => `Training and validation loss over steps: ${data.curves.map((curve) =>
      `${curve.name}, validation loss ${loss(curve.points.findLast((point) => isNumber(point[2]))?.[2])} at step ${count(curve.points.at(-1)[0])}`).join("; ")}.`,
    table: (data) => ({
      columns: ["trial", "step", "training loss", "validation loss"],
      rows: data.curves.flatMap((curve) => curve.points.map(([step, training, validation]) => [curve.number, step, training, validation])),
    }),
    open: (event) => open(event.seriesId === undefined ? undefined : Number(event.seriesId.split(" ")[0])),
    option: (data, { log, width, look: colours }) => {
      const many = data.curves.length > 1;
      const legendRows = many ? Math.ceil(data.curves.length / Math.max(1, Math.floor(width / 95))) : 0;
      seat(data.curves.map((curve) => curve.number));
      const points = data.curves.flatMap((curve) => curve.points);
      const y = scaleOf(points.flatMap((point) => [point[1], point[2]]), log);
      const x = scale({ low: 0, high: Math.max(1, ...points.map((point) => point[0])), whole: true });
      const line = (curve, at) => {
        const colour = colours.palette[slot(curve.number) % colours.palette.length];
        const isTraining = at === 1;
        return {
          id: `${curve.number} ${isTraining ? "training" : "validation"}`,
          name: curve.name,
          type: "line",
          data: curve.points.filter((point) => isNumber(point[at])).map((point) => [point[0], y.place(point[at]), point[at]]),
          showSymbol: false,
          triggerLineEvent: true,
          sampling: "lttb",
          lineStyle: { color: colour, width: isTraining ? 1.25 : curve.isBest ? 3 : 2, type: isTraining ? DASH : "solid" },
          itemStyle: { color: colour },
          emphasis: { disabled: true },
          labelLayout: { moveOverlap: "shiftY" },
          endLabel: { show: !isTraining && many, formatter: () => String(curve.number), color: colours.ink, fontSize: 11, distance: 4 },
        };
      };
      const tip = (shown) => {
        const found = new Map();
        for (const { seriesId, seriesName, value } of shown) {
          const one = found.get(seriesName) ?? {};
          one[seriesId.split(" ")[1]] = value[2];
          found.set(seriesName, one);
        }
        return [`step ${count(shown[0]?.value[0])}`, ...[...found].map(([name, one]) =>
          `${name}  ${["validation", "training"].filter((part) => part in one).map((part) => `${part} ${loss(one[part])}`).join(", ")}`)].join("\n");
      };
      return {
        legend: legendLook(colours, { show: many, data: data.curves.map((curve) => ({ name: curve.name, lineStyle: { type: "solid" } })) }),
        grid: { left: 8, right: many ? 34 : 14, top: 10 + 20 * legendRows, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
        xAxis: axisLook(colours, { ...x.axis, name: "step", nameGap: 24, splitLine: { show: false } }),
        yAxis: axisLook(colours, y.axis),
        dataZoom: zoomLook(),
        tooltip: { trigger: "axis", formatter: tip },
        series: data.curves.flatMap((curve) => [line(curve, 2), line(curve, 1)]),
      };
    },
  };
}
