// The metrics of a run.
import { Chart, palette } from "./charts.js";
import { element, island, loss } from "./text.js";

const place = document.querySelector("[data-metrics]");
if (place) {
  const charts = island("metrics").map((metric, index) => {
    const chart = element("div", { class: "chart", role: "img", "aria-label": `${metric.name}: last value ${loss(metric.last)}` });
    place.append(element("div", {}, element("h3", {}, metric.name, " ", element("span", { class: "unit" }, `last ${loss(metric.last)}`)), chart));
    const made = new Chart(
      chart,
      () => ({ key: metric.name, series: [{ label: metric.name, stroke: palette(index), points: { show: metric.steps.length < 40 } }], data: [metric.steps, metric.values] }),
      { xLabel: "step" },
    );
    made.update();
    return made;
  });
  document.querySelector("[data-metrics-log]").addEventListener("change", (event) => charts.forEach((chart) => chart.setLog(event.target.checked)));
}
