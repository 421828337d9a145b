// The comparison of runs: one metric of all of them in one chart. Forms are sent when something is chosen.
import { island } from "../text.js";
import { database } from "./database.js";
import { Lines } from "./series.js";

const { runs, metric, group } = island("compare");
const axis = document.querySelector("[data-axis]");
const smooth = document.querySelector("[data-smooth]");

for (const form of document.querySelectorAll("[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
  form.querySelector("button").hidden = true;
}

const card = document.querySelector("[data-metrics] [data-chart]");
if (card) {
  const lines = new Lines(card, {
    address: "/history/compare/metrics.json",
    axis: () => axis.value,
    ask: () => {
      const query = new URLSearchParams([...runs.map((run) => ["run", run]), ...Object.entries(database)]);
      query.set("name", metric);
      query.set("x", axis.value);
      if (group) query.set("group", group);
      if (Number(smooth.value)) query.set("smooth", smooth.value);
      return query;
    },
    name: (line) => (group ? `${group} = ${line.run} (${line.runs})` : `run ${line.run}`),
    file: metric.replace(/[^\w.-]+/g, "-"),
    empty: "None of the runs has logged it.",
  });
  for (const select of [axis, smooth]) select.addEventListener("change", () => lines.load());
}
