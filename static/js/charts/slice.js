// The losses over each axis, one small chart an axis; the stages have symbols of their own.
import { axisLook, legendLook } from "./look.js";
import { axisScale, lossScale } from "./scale.js";
import { lossLine, open, tell } from "./trials.js";
import { count } from "../text.js";

const SYMBOLS = ["circle", "diamond", "triangle", "rect", "roundRect", "pin"];
const [TOP, ROW, FOOT, LEFT, GAP] = [30, 150, 52, 52, 14];

const columnsIn = (width) => (width > 1000 ? 4 : width > 700 ? 3 : width > 300 ? 2 : 1);
const drawn = ({ slices }) => slices.filter((slice) => slice.points.number.length > 0);
// Choices lie beside each other: their points are spread, each always to the same place.
const spread = (number) => (((number * 0.618034) % 1) - 0.5) * 0.6;
const written = (axis, value) => (axis.kind === "categorical" ? axis.choices[value] : value);

export const slice = {
  words: (data) => (drawn(data).length ? "" : "It is drawn when the first trial has completed."),
  say: (data) => `Losses of ${count(data.total)} completed trials over each of ${drawn(data).length} axes.`,
  note: (data) => {
    const most = Math.max(...drawn(data).map(({ points }) => points.number.length));
    return most < data.total ? `Each has at most ${count(most)} of ${count(data.total)} trials: the best, and an even sample of the others.` : "";
  },
  key: (data, { width }) => [columnsIn(width), drawn(data).map(({ axis }) => axis.name)],
  rows: (data) => drawn(data).length,
  height: (axes, width) => TOP + Math.ceil(axes / columnsIn(width)) * (ROW + FOOT),
  table: (data) => ({
    columns: ["axis", "trial", "stage", "value", "loss"],
    rows: drawn(data).flatMap(({ axis, points }) =>
      points.number.map((number, at) => [data.labels[axis.name], number, points.stage[at] + 1, written(axis, points.values[at]), points.losses[at]])),
  }),
  open: (event) => open(event.value?.[2]),
  option: (data, { log, width, look: colours }) => {
    const shown = drawn(data);
    const columns = columnsIn(width);
    const wide = (width - LEFT - GAP * columns) / columns;
    const y = lossScale(data.loss, log && data.loss.log);
    const stages = [...new Set(shown.flatMap(({ points }) => points.stage))].sort((a, b) => a - b);
    const scales = shown.map(({ axis }) => axisScale(axis));
    const place = (at) => ({ left: LEFT + (at % columns) * (wide + GAP), top: TOP + Math.floor(at / columns) * (ROW + FOOT), width: wide - 12, height: ROW });
    return {
      legend: legendLook(colours, { show: stages.length > 1, data: stages.map((stage) => `stage ${stage + 1}`) }),
      grid: shown.map((_, at) => ({ ...place(at), outerBoundsMode: "none" })),
      xAxis: shown.map(({ axis }, at) => axisLook(colours, { ...scales[at].axis, gridIndex: at, name: data.labels[axis.name], nameGap: 24, splitNumber: wide < 200 ? 2 : 4, splitLine: { show: false } })),
      yAxis: shown.map((_, at) => axisLook(colours, { ...y.axis, gridIndex: at, axisLabel: { ...y.axis.axisLabel, show: at % columns === 0 }, splitNumber: 4 })),
      tooltip: {
        trigger: "item",
        formatter: ({ value, seriesId }, ticket, later) => {
          const { axis } = shown[Number(seriesId.split(" ")[0])];
          const at = scales[Number(seriesId.split(" ")[0])];
          return tell(value[2], [lossLine(value[3]), `${data.labels[axis.name]} ${at.text(value[4])}`], ticket, later);
        },
      },
      series: shown.flatMap(({ axis, points }, at) => stages.map((stage, order) => ({
        id: `${at} ${stage}`,
        name: `stage ${stage + 1}`,
        type: "scatter",
        xAxisIndex: at,
        yAxisIndex: at,
        symbol: SYMBOLS[order % SYMBOLS.length],
        symbolSize: points.number.length > 300 ? 5 : 7,
        itemStyle: { color: colours.palette[order % 6], opacity: 0.65 },
        cursor: "pointer",
        data: points.number.flatMap((number, one) => (points.stage[one] === stage
          ? [[scales[at].place(points.values[one]) + (axis.kind === "categorical" ? spread(number) : 0), y.place(points.losses[one]), number, points.losses[one], points.values[one]]]
          : [])),
      }))),
    };
  },
};
