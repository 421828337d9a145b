// The empirical distribution of losses, of all trials and of each stage.
import { axisLook, legendLook, zoomLook } from "./look.js";
import { lossScale } from "./scale.js";
import { count, loss } from "../text.js";

const TYPES = ["solid", [8, 4], [2, 3], [8, 3, 2, 3], [12, 4], [4, 2]];

const named = ({ all, stages }) => [{ ...all, name: "all" }, ...(stages.length > 1 ? stages.map((one) => ({ ...one, name: `stage ${one.stage + 1}` })) : [])];

export const edf = {
  words: ({ all }) => (all.total ? "" : "It is drawn when the first trial has completed."),
  say: ({ all }) => `Of ${count(all.total)} completed trials half have a loss of at most ${loss(all.losses[all.shares.findIndex((share) => share >= 0.5)])}.`,
  table: (data) => ({ columns: ["trials", "loss", "share"], rows: named(data).flatMap((one) => one.losses.map((value, at) => [one.name, value, one.shares[at]])) }),
  option: (data, { log, look: colours }) => {
    const x = lossScale(data.loss, log && data.loss.log);
    const shown = named(data);
    return {
      legend: legendLook(colours, { show: shown.length > 1 }),
      grid: { left: 8, right: 18, top: shown.length > 1 ? 30 : 10, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axisLook(colours, { ...x.axis, name: "loss", nameGap: 24 }),
      yAxis: axisLook(colours, { type: "value", min: 0, max: 1, axisLabel: { formatter: (share) => `${Math.round(100 * share)} %` } }),
      dataZoom: zoomLook(),
      tooltip: { trigger: "item", formatter: ({ seriesName, value }) => `${seriesName}\n${(100 * value[1]).toFixed(1)} % have a loss of at most ${loss(value[2])}` },
      series: shown.map((one, at) => {
        const colour = at === 0 ? colours.ink : colours.palette[(at - 1) % 6];
        return {
          name: one.name,
          type: "line",
          step: "end",
          triggerLineEvent: true,
          data: one.losses.map((value, place) => [x.place(value), one.shares[place], value]),
          symbol: "circle",
          symbolSize: 5,
          showSymbol: one.losses.length < 60,
          lineStyle: { color: colour, width: 2, type: TYPES[at % TYPES.length] },
          itemStyle: { color: colour },
          emphasis: { disabled: true },
        };
      }),
    };
  },
};
