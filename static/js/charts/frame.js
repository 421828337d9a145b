// The frame of a chart (templates/_macros/charts.html): what all charts do, whatever they draw. A kind of chart is
//   words(data): why there is nothing to draw, or "";  option(data, view): of ECharts;
//   table(data, view, frame): {columns, rows} of all that is drawn;
// and maybe
//   rows(data), height(rows, width): how high it must be;  say(data): the chart in a sentence;
//   note(data, frame): a line below it;  key(data, view): when this changes it is made anew;
//   open(event, data): the address that a click leads to;
//   ready(chart, frame), when it is made, and after(frame), whenever it is drawn;
//   zoomed(low, high, whole): between which values of the first axis, and whether that is all.
// *view* is {log, width, narrow, look}.
import { csv, save } from "./save.js";
import { base, look } from "./look.js";
import { close } from "../menus.js";
import { element } from "../text.js";

const NARROW = 560;
const MOST_ROWS = 200;
const SERIES = { replaceMerge: ["series"] };

let loaded = null;
const library = () => (loaded ??= import("../../vendor/echarts-6.1.0/echarts.js").catch((error) => {
  loaded = null;
  throw error;
}));

function whole(kind, data, view) {
  const [common, own] = [base(view.look), kind.option(data, view)];
  return { ...common, ...own, tooltip: { ...common.tooltip, ...own.tooltip } };
}

const all = new Set();
document.addEventListener("nhop:theme", () => all.forEach((chart) => chart.redraw()));

// The sizes of a chart's text follow its place; its data come by show(), as often as they like: at most once in *every*
// milliseconds, and only while the chart is near the screen, it is drawn. near() is called when it comes there.
export class Chart {
  constructor(card, kind, { every = 400, name = card.dataset.chart, near = () => undefined } = {}) {
    const find = (what) => card.querySelector(`[data-${what}]`);
    Object.assign(this, { card, kind, every, name, data: undefined, problem: "", chart: null, key: "", due: false, seen: false, timer: 0, at: 0 });
    Object.assign(this, { place: find("place"), words: find("words"), note: find("note"), table: find("table"), logBox: find("log") });
    all.add(this);
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.later();
      if (this.seen) near();
    }, { rootMargin: "200px" }).observe(card);
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = this.place;
      if (this.chart && width > 0 && (width !== this.chart.getWidth() || height !== this.chart.getHeight())) this.redraw();
    }).observe(this.place);
    this.logBox?.addEventListener("change", () => this.redraw());
    for (const button of card.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => {
        close(button.closest("[data-menu]"));
        this.save(button.dataset.save);
      });
    }
    for (const button of card.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => this.zoom(button.dataset.zoom));
    find("as-table").addEventListener("click", (event) => {
      this.table.hidden = !this.table.hidden;
      event.currentTarget.setAttribute("aria-expanded", String(!this.table.hidden));
      this.list();
    });
  }

  show(data) {
    Object.assign(this, { data, problem: "", due: true });
    if (!this.chart && this.kind.words(data)) this.draw();
    else this.later();
  }

  // Say what went wrong: below what is drawn, or in its place.
  fail(problem) {
    this.problem = problem;
    if (this.chart) this.say();
    else this.blank("failed", problem);
  }

  redraw() {
    if (this.data === undefined) return;
    this.due = true;
    this.at = 0;
    this.later();
  }

  // Make room for what is drawn, or will be, of so many *rows*: then nothing jumps when the data are there.
  reserve(rows) {
    const width = this.place.clientWidth;
    if (width > 0 && this.kind.height) this.place.parentElement.style.height = `${this.kind.height(rows, width)}px`;
  }

  later() {
    if (!this.due || !this.seen || this.timer) return;
    this.timer = setTimeout(() => {
      this.draw().catch((error) => {
        this.fail("The chart could not be drawn. Load the page anew to try again.");
        reportError(error);
      }).finally(() => {
        this.at = performance.now();
        this.timer = 0;
        this.later();
      });
    }, Math.max(0, this.at + this.every - performance.now()));
  }

  view() {
    const width = this.place.clientWidth;
    return { log: this.logBox?.checked ?? false, width, narrow: width < NARROW, look: look() };
  }

  blank(is, words) {
    this.chart?.dispose();
    this.chart = null;
    this.words.textContent = words;
    this.note.textContent = "";
    this.card.dataset.is = is;
    this.place.dataset.points = 0;
  }

  async draw() {
    this.due = false;
    const { data, kind } = this;
    const words = kind.words(data);
    if (words) {
      this.blank("empty", words);
      this.list();
      return;
    }
    const { init } = await library();
    const view = this.view();
    if (view.width === 0) return;
    if (kind.height) this.reserve(kind.rows(data));
    if (!this.chart) {
      this.chart = init(this.place, null, { renderer: "canvas" });
      this.key = "";
      this.chart.on("click", (event) => {
        const address = kind.open?.(event, this.data);
        if (address) location.assign(address);
      });
      this.chart.on("datazoom", () => this.zoomed());
      kind.ready?.(this.chart, this);
    } else {
      this.chart.resize();
    }
    const key = JSON.stringify([kind.key?.(data, view) ?? "", view.narrow]);
    this.chart.setOption(whole(kind, data, view), key === this.key ? SERIES : { notMerge: true });
    this.key = key;
    this.card.dataset.is = "drawn";
    this.words.textContent = "";
    this.place.dataset.points = this.chart.getModel().getSeries().reduce((sum, series) => sum + series.getData().count(), 0);
    this.say();
    this.list();
    kind.after?.(this);
  }

  say() {
    const label = this.kind.say?.(this.data);
    if (label) this.place.setAttribute("aria-label", label);
    const note = [this.problem, this.kind.note?.(this.data, this)].filter(Boolean).join(" ");
    if (this.note.textContent !== note) this.note.textContent = note;
  }

  // What is drawn, as a table: for those who do not see the chart, and for all who want the numbers.
  list() {
    if (this.table.hidden) return;
    const { columns, rows } = this.data === undefined || this.kind.words(this.data) ? { columns: [], rows: [] } : this.kind.table(this.data, this.view(), this);
    if (!rows.length) {
      this.table.replaceChildren(element("p", { class: "chart-note" }, "There is nothing to list yet."));
      return;
    }
    const numeric = columns.map((_, at) => rows.every((row) => typeof row[at] !== "string"));
    const cell = (value, at) => element("td", numeric[at] ? { class: "num" } : {}, value === null || value === undefined ? "–" : String(value));
    this.table.replaceChildren(
      element("table", { class: "list", "aria-label": `${this.card.querySelector("h2").textContent}, as a table` },
        element("thead", {}, element("tr", {}, ...columns.map((name, at) => element("th", { scope: "col", class: numeric[at] ? "num" : null }, name)))),
        element("tbody", {}, ...rows.slice(0, MOST_ROWS).map((row) => element("tr", {}, ...row.map(cell))))),
      ...(rows.length > MOST_ROWS ? [element("p", { class: "chart-note" }, `The first ${MOST_ROWS} of ${rows.length.toLocaleString("en")} rows; the CSV file has all.`)] : []),
    );
  }

  zoom(how) {
    const shown = this.chart?.getOption().dataZoom?.[0];
    if (!shown) return;
    const [middle, half] = [(shown.start + shown.end) / 2, ((shown.end - shown.start) / 2) * { in: 0.5, out: 2, all: 100 }[how]];
    const start = Math.max(0, Math.min(100 - 2 * half, middle - half));
    this.chart.dispatchAction({ type: "dataZoom", start, end: Math.min(100, start + 2 * half) });
  }

  zoomed() {
    const shown = this.chart.getOption().dataZoom[0];
    const whole = shown.start <= 0 && shown.end >= 100;
    this.card.querySelector("[data-zoom='all']")?.toggleAttribute("hidden", whole);
    this.card.dataset.zoom = whole ? "" : "in";
    this.kind.zoomed?.(shown.startValue, shown.endValue, whole);
  }

  async save(how) {
    if (!this.chart) {
      this.note.textContent = "There is nothing to save yet.";
      return;
    }
    const view = this.view();
    if (how === "csv") {
      save(new Blob(["\ufeff", csv(this.kind.table(this.data, view, this))], { type: "text/csv;charset=utf-8" }), `${this.name}.csv`);
    } else if (how === "svg") {
      save(new Blob([await this.drawing(view)], { type: "image/svg+xml" }), `${this.name}.svg`);
    } else {
      const canvas = this.chart.renderToCanvas({ pixelRatio: 2, backgroundColor: view.look.card });
      canvas.toBlob((blob) => save(blob, `${this.name}.png`));
    }
  }

  // The same chart once more, as SVG, zoomed as this one is.
  async drawing(view) {
    const { init } = await library();
    const drawn = init(null, null, { renderer: "svg", ssr: true, width: view.width, height: this.place.clientHeight });
    const option = { ...whole(this.kind, this.data, view), backgroundColor: view.look.card };
    const zoom = this.chart.getOption().dataZoom?.[0];
    if (zoom && option.dataZoom) option.dataZoom = option.dataZoom.map((one) => ({ ...one, start: zoom.start, end: zoom.end }));
    drawn.setOption(option);
    const text = drawn.renderToSVGString();
    drawn.dispose();
    return text;
  }
}
