// The loss over two axes: cells of smoothed losses, and the trials they come from.
import { axisLook } from "./look.js";
import { axisScale, lossScale } from "./scale.js";
import { lossLine, open, tell } from "./trials.js";
import { count, isNumber, loss } from "../text.js";

// The edges of cells around these places.
function edges(places, low, high) {
  const between = places.slice(1).map((place, at) => (place + places[at]) / 2);
  return [low, ...between, high];
}

const written = (axis, value) => (axis.kind === "categorical" ? axis.choices[value] : value);

// Data: an answer, or {axes: 0 | 1} where there are too few axes to ask for one.
export const contour = {
  words: (data) => (!data.grid ? "It needs two axes to search." : data.points.number.length ? "" : "It is drawn when the first trial has completed."),
  say: (data) => `Loss over ${data.labels[data.x.name]} and ${data.labels[data.y.name]}, smoothed among ${count(data.total)} trials.`,
  note: (data) => (data.points.number.length < data.total ? `Circles: ${count(data.points.number.length)} of ${count(data.total)} trials.` : ""),
  rows: () => 1,
  height: (_, width) => (width > 560 ? 400 : 340),
  table: (data) => ({
    columns: ["trial", "stage", data.labels[data.x.name], data.labels[data.y.name], "loss"],
    rows: data.points.number.map((number, at) => [number, data.points.stage[at] + 1, written(data.x, data.points.x[at]), written(data.y, data.points.y[at]), data.points.losses[at]]),
  }),
  open: (event) => (event.seriesName === "trials" ? open(event.value?.[2]) : undefined),
  option: (data, { narrow, look: colours }) => {
    const [x, y, z] = [axisScale(data.x), axisScale(data.y), lossScale(data.loss)];
    const choices = (axis) => axis.kind === "categorical";
    const places = [data.grid.x.map((value, at) => (choices(data.x) ? at : x.place(value))), data.grid.y.map((value, at) => (choices(data.y) ? at : y.place(value)))];
    const [columns, rows] = [edges(places[0], x.low, x.high), edges(places[1], y.low, y.high)];
    const cells = data.grid.z.flatMap((line, row) => line.flatMap((value, column) =>
      (isNumber(value) ? [[columns[column], rows[row], columns[column + 1], rows[row + 1], z.place(value), value]] : [])));
    const heights = cells.map((cell) => cell[4]);
    const best = data.points.losses.reduce((found, value, at) => (value < data.points.losses[found] ? at : found), 0);
    const dots = data.points.number.map((number, at) => [x.place(data.points.x[at]), y.place(data.points.y[at]), number, data.points.losses[at]]);
    const [low, high] = heights.length ? [Math.min(...heights), Math.max(...heights)] : [0, 1];
    const label = (place) => loss(data.loss.log ? 10 ** place : place);
    const tip = ({ value, seriesName }, ticket, later) =>
      (seriesName === "trials" ? tell(value[2], [lossLine(value[3])], ticket, later) : `about ${loss(value[5])}`);
    return {
      grid: { left: 8, right: narrow ? 10 : 84, top: 10, bottom: narrow ? 46 : 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axisLook(colours, { ...x.axis, name: data.labels[data.x.name], nameGap: 24, splitLine: { show: false } }),
      yAxis: axisLook(colours, { ...y.axis, splitLine: { show: false } }),
      visualMap: {
        type: "continuous",
        seriesIndex: 0,
        dimension: 4,
        min: low,
        max: high > low ? high : low + 1e-9,
        hoverLink: false,
        orient: narrow ? "horizontal" : "vertical",
        ...(narrow ? { left: "center", bottom: 0 } : { right: 10, top: "middle" }),
        itemHeight: narrow ? 120 : 200,
        itemWidth: 12,
        text: [label(high), label(low)],
        textStyle: { color: colours.soft, fontSize: 11 },
        inRange: { color: colours.ramp },
      },
      tooltip: { trigger: "item", formatter: tip },
      series: [
        {
          name: "smoothed",
          type: "custom",
          clip: true,
          data: cells,
          encode: { x: [0, 2], y: [1, 3] },
          renderItem: (_, api) => {
            const [left, bottom] = api.coord([api.value(0), api.value(1)]);
            const [right, top] = api.coord([api.value(2), api.value(3)]);
            return { type: "rect", shape: { x: left, y: top, width: right - left + 0.6, height: bottom - top + 0.6 }, style: { fill: api.visual("color") } };
          },
        },
        { name: "trials", type: "scatter", data: dots, symbolSize: dots.length > 200 ? 5 : 7, itemStyle: { color: "transparent", borderColor: colours.card, borderWidth: 1, shadowColor: colours.ink, shadowBlur: 1, opacity: 0.9 }, cursor: "pointer" },
        { name: "trials", type: "scatter", data: dots.length ? [dots[best]] : [], symbol: "diamond", symbolSize: 14, itemStyle: { color: colours.gold, borderColor: colours.ink, borderWidth: 1.5 }, cursor: "pointer", z: 4 },
      ],
    };
  },
};
