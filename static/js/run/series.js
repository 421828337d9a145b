// The metrics of runs, from the server as finely as a chart needs them: in whole first, and once more what is zoomed into.
import { Chart } from "../charts/frame.js";
import { series } from "../charts/series.js";

const SETTLE = 250;
const MOST_ADDED = 3000;

// One chart. ask() gives the parameters of what it draws, name(line) what a line is called.
export class Lines {
  constructor(card, { address, ask, name = (line) => line.name, axis, empty = "It has no values.", file = "metric", many = false }) {
    Object.assign(this, { address, ask, name, axis, empty, many, data: null, request: 0, timer: 0, asked: false });
    this.chart = new Chart(card, series({ zoomed: (low, high, whole) => this.zoomed(low, high, whole) }), {
      name: file,
      near: () => { if (!this.asked) this.load(); },
    });
  }

  // Ask anew, if it is or was near the screen.
  renew() {
    if (this.asked) this.load();
  }

  async load() {
    this.asked = true;
    this.range = null;
    const lines = await this.fetch({});
    if (!lines) return;
    this.data = { axis: this.axis(), empty: this.empty, lines };
    this.added = 0;
    this.chart.show(this.data);
  }

  zoomed(low, high, whole) {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      if (whole || !this.data) return;
      const fine = await this.fetch({ low, high });
      if (!fine || !this.data) return;
      const lines = this.data.lines.map((line) => finer(line, fine.find((one) => one.run === line.run && one.metric === line.metric)));
      this.data = { ...this.data, lines };
      this.chart.show(this.data);
    }, SETTLE);
  }

  async fetch(more) {
    this.request += 1;
    const request = this.request;
    const query = this.ask();
    for (const [key, value] of Object.entries(more)) query.set(key, value);
    try {
      const answer = await fetch(`${this.address}?${query}`, { headers: { accept: "application/json" } });
      const told = await answer.json();
      if (request !== this.request) return null;
      if (!answer.ok) throw new Error(told.detail ?? `The server answered ${answer.status}.`);
      return told.lines.map((line) => ({ ...line, metric: line.name, name: this.name(line) }));
    } catch (error) {
      if (request === this.request) this.chart.fail(`${error.message} Load the page anew to try again.`);
      return null;
    }
  }

  // New points of a metric: drawn as they are until they are many; smoothed ones are asked for.
  add({ name, start, total, steps, values, seconds }, smooth) {
    if (!this.data) return;
    const line = this.data.lines.find((one) => one.metric === name);
    if (line && start < line.total) return;
    const x = this.data.axis === "time" ? seconds : steps;
    if (!line || smooth || line.total !== start || this.added + x.length > MOST_ADDED || x.some((at, index) => at === null || at < (index ? x[index - 1] : line.high ?? -Infinity))) {
      this.load();
      return;
    }
    this.added += x.length;
    Object.assign(line, { x: [...line.x, ...x], y: [...line.y, ...values], total, low: line.low ?? x[0], high: x.at(-1) });
    this.chart.show(this.data);
  }
}

// A line with the *fine* points in place of those that lie between them.
function finer(line, fine) {
  if (!fine?.x.length) return line;
  const [from, to] = [fine.x[0], fine.x.at(-1)];
  const kept = line.x.map((x, at) => [x, line.y[at], at]).filter(([x]) => x < from || x > to);
  const points = [...kept.filter(([x]) => x < from), ...fine.x.map((x, at) => [x, fine.y[at]]), ...kept.filter(([x]) => x > to)];
  return { ...line, x: points.map(([x]) => x), y: points.map(([, y]) => y) };
}
