// How much each axis decides which trials are good.
import { axisLook } from "./look.js";

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;

export const importance = {
  words: ({ enough, message }) => (enough ? "" : message),
  say: ({ axes, labels }) => `Importance: ${axes.map((axis) => `${labels[axis.name]} ${percent(axis.share)}`).join(", ")}.`,
  note: ({ message, explained, good, trials }) =>
    message || `Told by the best ${good} of ${trials} trials; the axes explain each by itself ${percent(explained)} of what makes them good.`,
  rows: ({ axes }) => axes.length,
  height: (axes) => Math.max(220, 40 + 27 * axes),
  table: ({ axes, labels }) => ({ columns: ["axis", "share"], rows: axes.map((axis) => [labels[axis.name], axis.share]) }),
  option: ({ axes, labels }, { narrow, look: colours }) => {
    const ranked = axes.toReversed();
    return {
      grid: { left: 4, right: 52, top: 4, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axisLook(colours, { type: "value", min: 0, axisLabel: { formatter: percent } }),
      yAxis: axisLook(colours, { type: "category", data: ranked.map((axis) => labels[axis.name]), splitLine: { show: false }, axisTick: { show: false }, axisLabel: { color: colours.ink, fontSize: 12, width: narrow ? 100 : 160, overflow: "truncate", interval: 0, hideOverlap: false } }),
      tooltip: { trigger: "item", formatter: ({ name, value }) => `${name}\n${percent(value)}` },
      series: [{
        type: "bar",
        data: ranked.map((axis) => axis.share),
        barMaxWidth: 18,
        itemStyle: { color: colours.palette[0], borderRadius: [0, 4, 4, 0] },
        label: { show: true, position: "right", color: colours.ink, formatter: ({ value }) => percent(value) },
      }],
    };
  },
};
