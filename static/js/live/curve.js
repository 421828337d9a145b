// The learning curve of one trial.
import { follow } from "./bus.js";
import { state } from "./state.js";
import { Chart } from "../charts/frame.js";
import { curves } from "../charts/curves.js";

const number = Number(location.pathname.split("/").at(-1));
const chart = new Chart(document.querySelector("[data-chart='curve']"), curves(), { name: `trial-${number}` });

follow(document.body, ["trial", "progress"], () => {
  const points = state.curves.get(number) ?? [];
  chart.show({ curves: points.length ? [{ number, name: `trial ${number}`, isBest: false, points }] : [], empty: "Its curve is drawn as it trains." });
});
