// One metric of a Sacred run: {name, steps, values}.
import { axisLook, zoomLook } from "./look.js";
import { scale, scaleOf } from "./scale.js";
import { count, isNumber, loss } from "../text.js";

export function metric(place) {
  return {
    words: ({ steps }) => (steps.length ? "" : "It has no values."),
    say: ({ name, last }) => `${name}: last value ${loss(last)}`,
    table: ({ name, steps, values }) => ({ columns: ["step", name], rows: steps.map((step, at) => [step, values[at]]) }),
    option: ({ name, steps, values }, { log, look: colours }) => {
      const y = scaleOf(values, log);
      const x = scale({ low: Math.min(...steps), high: Math.max(...steps), whole: true });
      const colour = colours.palette[place % colours.palette.length];
      const points = steps.map((step, at) => [step, y.place(values[at]), values[at]]).filter((point) => isNumber(point[1]));
      return {
        grid: { left: 8, right: 14, top: 10, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
        xAxis: axisLook(colours, { ...x.axis, name: "step", nameGap: 24, splitLine: { show: false } }),
        yAxis: axisLook(colours, y.axis),
        dataZoom: zoomLook(),
        tooltip: { trigger: "axis", formatter: ([shown]) => `step ${count(shown.value[0])}\n${name} ${loss(shown.value[2])}` },
        series: [{ name, type: "line", data: points, showSymbol: points.length < 40, symbolSize: 6, sampling: "lttb", lineStyle: { color: colour, width: 2 }, itemStyle: { color: colour }, emphasis: { disabled: true } }],
      };
    },
  };
}
