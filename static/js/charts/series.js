// Any number of lines over steps or time: metrics of a run, or one metric of several. Data: {axis: "step" or "time",
// lines: [{name, x, y, sd, low, high}], empty}; *sd*, where there is one, is drawn as a band around its line.
import { axisLook, legendLook, zoomLook } from "./look.js";
import { scale, scaleOf } from "./scale.js";
import { count, duration, isNumber, loss } from "../text.js";

const DASHES = ["solid", "dashed", "dotted"];
const SYMBOLS = 40;

const drawn = (data) => data.lines.filter((line) => line.x.length);
const last = (line) => line.y.findLast((value) => isNumber(value));
const place = (data, x) => (data.axis === "time" ? duration(x) : count(x));

export function series({ zoomed = () => undefined } = {}) {
  return {
    words: (data) => (drawn(data).length ? "" : data.empty),
    say: (data) => `Over ${data.axis === "time" ? "time" : "steps"}: ${drawn(data).map((line) => `${line.name}, last value ${loss(last(line))}`).join("; ")}.`,
    table: (data) => {
      const lines = drawn(data);
      const x = data.axis === "time" ? "seconds" : "step";
      if (lines.length === 1 && !lines[0].sd) return { columns: [x, lines[0].name], rows: lines[0].x.map((at, index) => [at, lines[0].y[index]]) };
      const hasSd = lines.some((line) => line.sd);
      return {
        columns: ["line", x, "value", ...(hasSd ? ["standard deviation"] : [])],
        rows: lines.flatMap((line) => line.x.map((at, index) => [line.name, at, line.y[index], ...(hasSd ? [line.sd?.[index] ?? null] : [])])),
      };
    },
    key: (data) => JSON.stringify([data.axis, data.lines.map((line) => line.name)]),
    zoomed,
    option: (data, { log, width, look: colours }) => {
      const lines = drawn(data);
      const many = lines.length > 1;
      const longest = Math.max(...lines.map((line) => line.name.length));
      const legendRows = many ? Math.min(6, Math.ceil(lines.length / Math.max(1, Math.floor(width / Math.min(260, 50 + 7 * longest))))) : 0;
      const reached = lines.flatMap((line) => line.y.flatMap((value, at) => (line.sd && isNumber(value) ? [value - line.sd[at], value, value + line.sd[at]] : [value])));
      const y = scaleOf(log ? reached.filter((value) => !(value <= 0)) : reached, log);
      const x = scale({
        low: Math.min(...lines.map((line) => line.low ?? line.x[0])),
        high: Math.max(...lines.map((line) => Math.max(line.high ?? line.x[0], line.x.at(-1)))),
        whole: data.axis === "step",
        write: data.axis === "time" ? duration : null,
      });
      const look = (at) => ({ color: colours.palette[at % colours.palette.length], dash: DASHES[Math.floor(at / colours.palette.length) % DASHES.length] });
      const line = (one, at) => ({
        id: `line ${at}`,
        name: one.name,
        type: "line",
        data: one.x.map((from, index) => [from, log && one.y[index] <= 0 ? null : y.place(one.y[index]), one.y[index]]),
        showSymbol: one.x.length < SYMBOLS,
        symbolSize: 6,
        lineStyle: { color: look(at).color, width: 2, type: look(at).dash },
        itemStyle: { color: look(at).color },
        emphasis: { disabled: true },
        z: 3,
      });
      const edge = (one, at, which, values) => ({
        id: `${which} ${at}`,
        name: one.name,
        type: "line",
        stack: `band ${at}`,
        stackStrategy: "all",
        data: values,
        symbol: "none",
        silent: true,
        lineStyle: { opacity: 0 },
        areaStyle: { color: look(at).color, opacity: which === "band" ? 0.18 : 0 },
        emphasis: { disabled: true },
        z: 2,
      });
      const bands = lines.flatMap((one, at) => {
        if (!one.sd) return [];
        const low = one.x.map((_, index) => y.place(one.y[index] - one.sd[index]));
        const high = one.x.map((_, index) => y.place(one.y[index] + one.sd[index]));
        return [
          edge(one, at, "below", one.x.map((from, index) => [from, low[index]])),
          edge(one, at, "band", one.x.map((from, index) => [from, high[index] - low[index]])),
        ];
      });
      const tip = (shown) => {
        const found = shown.filter(({ seriesId }) => seriesId.startsWith("line"));
        if (!found.length) return "";
        return [data.axis === "time" ? `after ${place(data, found[0].value[0])}` : `step ${place(data, found[0].value[0])}`,
          ...found.slice(0, 20).map(({ seriesName, value }) => `${seriesName}  ${loss(value[2])}`)].join("\n");
      };
      return {
        legend: legendLook(colours, { show: many, data: lines.map((one) => one.name) }),
        grid: { left: 8, right: 14, top: 10 + 20 * legendRows, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
        xAxis: axisLook(colours, { ...x.axis, name: data.axis === "time" ? "time since the start" : "step", nameGap: 24, splitLine: { show: false } }),
        yAxis: axisLook(colours, y.axis),
        dataZoom: zoomLook(),
        tooltip: { trigger: "axis", formatter: tip },
        series: [...bands, ...lines.map(line)],
      };
    },
  };
}
