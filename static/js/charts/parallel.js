// Parallel coordinates: a line a trial through all axes to its loss; the good ones stand out. Lines are brushed by
// dragging along an axis, or by the fields of the chart's Brush menu.
import { axisScale, lossScale } from "./scale.js";
import { lossLine, open, tell } from "./trials.js";
import { count, isNumber, loss } from "../text.js";

const LOSS = "loss";
const ROW = 58;

const written = (axis, value) => (value === null ? null : axis.kind === "categorical" ? axis.choices[value] : value);
const bestOf = (losses) => losses.reduce((found, value, at) => (value < losses[found] ? at : found), 0);

function columns(data) {
  return [
    ...data.axes.map((axis) => ({ id: axis.name, name: data.labels[axis.name], axis, scale: axisScale(axis), values: data.lines.values[axis.name] })),
    { id: LOSS, name: LOSS, axis: { kind: "float" }, scale: lossScale(data.loss), values: data.lines.losses },
  ];
}

// A name in lines of at most so many characters, broken between words.
function wrapped(name, most) {
  return name.split(" ").reduce((lines, word) => {
    const longer = `${lines.at(-1)} ${word}`;
    return lines.length && longer.length <= most ? [...lines.slice(0, -1), longer] : [...lines, word];
  }, []).join("\n");
}

// What the fields of the Brush menu mean on an axis: its value, or the name of a choice.
function placeOf(column, text) {
  if (column.axis.kind === "categorical") {
    const at = column.axis.choices.map(String).indexOf(text.trim());
    return at < 0 ? null : at;
  }
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) ? null : column.scale.place(value);
}

function menu(chart, frame) {
  const form = frame.card.querySelector("[data-brush]");
  const axis = form.elements.namedItem("brush-axis");
  const [from, to] = ["from", "to"].map((name) => form.elements.namedItem(name));
  const found = () => columns(frame.data).find((column) => column.id === axis.value);
  const hint = () => {
    const column = found();
    if (!column) return;
    const choices = column.axis.choices?.map(String);
    from.placeholder = choices ? choices[0] : column.scale.text(column.axis.low ?? frame.data.loss.low);
    to.placeholder = choices ? choices.at(-1) : column.scale.text(column.axis.high ?? frame.data.loss.high);
  };
  frame.offer = () => {
    const names = columns(frame.data);
    if (axis.options.length !== names.length) axis.replaceChildren(...names.map((column) => new Option(column.name, column.id)));
    hint();
  };
  const select = (column, intervals) => chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: column.id, intervals });
  const listen = new AbortController();
  frame.stopOffer?.abort();
  frame.stopOffer = listen;
  axis.addEventListener("change", hint, listen);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const column = found();
    const [low, high] = [from, to].map((field) => placeOf(column, field.value));
    if (low === null && high === null) return;
    const room = column.axis.kind === "categorical" ? 0.4 : 0;
    const ends = [low ?? column.scale.low, high ?? (column.axis.kind === "categorical" ? low : column.scale.high)].sort((a, b) => a - b);
    select(column, [[ends[0] - room, ends[1] + room]]);
  }, listen);
  form.addEventListener("reset", () => columns(frame.data).forEach((column) => select(column, [])), listen);
}

export const parallel = {
  words: ({ lines }) => (lines.number.length ? "" : "It is drawn when the first trial has completed."),
  say: ({ lines, axes }) => `${count(lines.number.length)} trials as lines through ${axes.length} axes to their loss; the best is trial ${lines.number[bestOf(lines.losses)]}, loss ${loss(Math.min(...lines.losses))}.`,
  note: (data, frame) => {
    const lines = data.lines.number.length;
    const of = lines < data.total ? `${count(lines)} of ${count(data.total)} trials are drawn: the best third of the lines, and an even sample. ` : "";
    const brushed = frame.brushed;
    return of + (brushed ? `${count(brushed.size)} of ${count(lines)} lines are brushed${brushed.size ? `, the best with loss ${loss(Math.min(...[...brushed].map((at) => data.lines.losses[at])))}` : ""}.` : "Drag along an axis to brush lines; a click on it ends that.");
  },
  key: (data) => data.axes.map((axis) => [axis.name, axis.choices]),
  rows: ({ axes }) => axes.length,
  height: (axes, width) => (width < 560 ? 40 + ROW * (axes + 1) : 380),
  table: (data, view, frame) => {
    const shown = columns(data);
    const brushed = frame?.brushed;
    return {
      columns: ["trial", "stage", ...shown.map((column) => column.name), ...(brushed ? ["brushed"] : [])],
      rows: data.lines.number.map((number, at) => [number, data.lines.stage[at] + 1, ...shown.map((column) => written(column.axis, column.values[at])), ...(brushed ? [brushed.has(at) ? 1 : 0] : [])]),
    };
  },
  open: (event, data) => open(event.seriesName === "best" ? data.lines.number[bestOf(data.lines.losses)] : data.lines.number[event.dataIndex]),
  ready: (chart, frame) => {
    frame.brushed = null;
    menu(chart, frame);
    chart.on("axisareaselected", () => {
      const areas = chart.getOption().parallelAxis;
      const model = chart.getModel();
      const any = areas.some((_, at) => model.getComponent("parallelAxis", at).activeIntervals.length > 0);
      frame.brushed = any ? new Set(model.getSeriesByIndex(0).getRawIndicesByActiveState("active")) : null;
      frame.place.dataset.brushed = frame.brushed?.size ?? "";
      frame.say();
      frame.list();
    });
  },
  after: (frame) => frame.offer(),
  option: (data, { narrow, width, look: colours }) => {
    const shown = columns(data);
    const letters = Math.max(6, Math.floor((width - 106) / (shown.length - 1) / 6.2));
    const line = (at) => shown.map(({ scale, values }) => (values[at] === null ? null : scale.place(values[at])));
    const order = data.lines.losses.map((value) => shown.at(-1).scale.place(value)).map((place) => (isNumber(place) ? place : shown.at(-1).scale.high));
    const sorted = [...order].sort((a, b) => a - b);
    // By rank, so that some outliers do not make all others alike.
    const rank = new Map(sorted.map((place, at) => [place, at / Math.max(1, sorted.length - 1)]));
    const colour = (at) => colours.ramp[Math.round(rank.get(order[at]) * (colours.ramp.length - 1))];
    const best = bestOf(data.lines.losses);
    return {
      parallel: narrow
        ? { layout: "vertical", left: 14, right: 22, top: 34, bottom: 24 }
        : { layout: "horizontal", left: 46, right: 60, top: 58, bottom: 22 },
      parallelAxis: shown.map(({ id, name, scale, axis }, dim) => ({
        ...scale.axis,
        id,
        dim,
        name: narrow ? name : wrapped(name, letters),
        nameLocation: narrow ? "start" : "end",
        nameGap: narrow ? -4 : 12,
        nameTruncate: { maxWidth: 300 },
        nameTextStyle: { color: colours.ink, fontSize: 11, lineHeight: 13, textBorderColor: colours.card, textBorderWidth: 3, ...(narrow ? { align: "left", verticalAlign: "bottom", padding: [0, 0, 8, 0] } : {}) },
        axisLine: { lineStyle: { color: colours.strong, width: 1.5 } },
        axisTick: { ...scale.axis.axisTick, lineStyle: { color: colours.strong } },
        axisLabel: { color: colours.ink, fontSize: 11, hideOverlap: true, ...scale.axis.axisLabel, ...(axis.kind === "categorical" ? { width: 70, overflow: "truncate" } : {}), textBorderColor: colours.card, textBorderWidth: 3 },
        splitLine: { show: false },
        areaSelectStyle: { width: 18, borderWidth: 1, borderColor: colours.strong, color: colours.gold, opacity: 0.3 },
      })),
      tooltip: {
        trigger: "item",
        formatter: ({ dataIndex, seriesName }, ticket, later) => {
          const at = seriesName === "best" ? best : dataIndex;
          return tell(data.lines.number[at], [lossLine(data.lines.losses[at])], ticket, later);
        },
      },
      series: [
        {
          name: "trials",
          type: "parallel",
          progressive: 0,
          smooth: 0.05,
          inactiveOpacity: 0.06,
          activeOpacity: 0.9,
          lineStyle: { width: 1.2, opacity: order.length > 300 ? 0.3 : 0.6 },
          emphasis: { lineStyle: { width: 3, opacity: 1 } },
          data: data.lines.number.map((_, at) => ({ value: line(at), lineStyle: { color: colour(at) } })),
        },
        { name: "best", type: "parallel", data: [line(best)], lineStyle: { width: 3.5, color: colours.gold, opacity: 1 }, inactiveOpacity: 0.5, smooth: 0.05, z: 4 },
      ],
    };
  },
};
