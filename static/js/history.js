// The metrics of a run.
import { Chart } from "./charts/frame.js";
import { metric } from "./charts/metric.js";
import { island } from "./text.js";

const cards = [...document.querySelectorAll("[data-chart='metric']")];
if (cards.length) {
  island("metrics").forEach((values, at) => new Chart(cards[at], metric(at), { name: values.name.replace(/[^\w.-]+/g, "-") }).show(values));
}
