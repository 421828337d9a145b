// The learning curve of one trial.
import { follow } from "./bus.js";
import { state } from "./state.js";
import { find } from "./words.js";
import { Chart, aligned, palette } from "../charts.js";

const number = Number(location.pathname.split("/").at(-1));

const chart = new Chart(
  document.querySelector("[data-chart='curve']"),
  () => {
    const points = state.curves.get(number) ?? [];
    return {
      key: "curve",
      series: [
        { label: "training", stroke: palette(0), width: 1.25, dash: [4, 4] },
        { label: "validation", stroke: palette(0), width: 2 },
      ],
      data: aligned(points.length ? [{ steps: points.map((point) => point[0]), values: [points.map((point) => point[1]), points.map((point) => point[2])] }] : []),
    };
  },
  { xLabel: "step", log: true },
);

follow(document.body, ["trial", "progress"], () => {
  find("curve-empty").hidden = (state.curves.get(number) ?? []).length > 0;
  chart.update();
});
