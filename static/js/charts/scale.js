// From values to places on an axis and back. A logarithmic axis is a linear one of logarithms with ticks of its own:
// then a range within one power of ten has ticks too.
import { count, isNumber, loss } from "../text.js";

const LEAST = 1e-300;
const ROOM = 0.04;

// The ticks of a logarithmic axis: 1 to 9 of each power of ten, or the powers alone where there are many, or even parts
// of a range too narrow for those.
export function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const digits = last - first > 6 ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    for (const digit of digits) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  if (ticks.length > 2) return ticks;
  return [1, 2, 3, 4].map((part) => Number((low + ((high - low) * part) / 5).toPrecision(3)));
}

// About half a dozen of those ticks: the ones that have a label.
export function labelled(ticks) {
  const decades = Math.log10(ticks.at(-1) / ticks[0]);
  const wanted = decades > 2.2 ? ["1"] : decades > 0.8 ? ["1", "2", "5"] : decades > 0.4 ? ["1", "2", "3", "5", "7"] : null;
  const every = Math.ceil(decades / 6);
  return ticks.filter((tick) => {
    const [digit, power] = tick.toExponential(0).split("e");
    return wanted === null || (wanted.includes(digit) && (decades <= 6 || Number(power) % every === 0));
  });
}

const TENS = 1e6;
const rounded = (value) => Math.round(value * TENS) / TENS;

// An axis from *low* to *high*: {axis: its option, place(value): where it lies, null where it has no place, and at the
// edge where it lies beyond; text(value)}.
export function scale({ low, high, log = false, whole = false, write = null }) {
  const text = write ?? (whole ? count : loss);
  if (!isNumber(low) || !isNumber(high)) return scale({ low: 0, high: 1, whole, write });
  if (log && low > 0) {
    const [from, to] = [Math.log10(low), Math.log10(high)];
    const room = Math.max((to - from) * ROOM, 0.02);
    const [min, max] = [from - room, to + room];
    const ticks = labelled(logTicks(10 ** min, 10 ** max)).map((tick) => rounded(Math.log10(tick)));
    return {
      text,
      low: min,
      high: max,
      place: (value) => (isNumber(value) ? Math.min(max, Math.max(min, Math.log10(Math.max(value, LEAST)))) : null),
      axis: {
        type: "value",
        min,
        max,
        axisTick: { customValues: ticks },
        axisLabel: { customValues: ticks, showMinLabel: true, showMaxLabel: true, formatter: (at) => text(Number((10 ** at).toPrecision(3))) },
      },
    };
  }
  const apart = high - low > 1e-12 * Math.max(Math.abs(low), Math.abs(high));
  const room = apart ? (high - low) * ROOM : Math.abs(high) * 0.1 || 1;
  const [min, max] = [low - room, high + room];
  return {
    text,
    low: min,
    high: max,
    place: (value) => (isNumber(value) ? Math.min(max, Math.max(min, value)) : null),
    axis: {
      type: "value",
      min,
      max,
      minInterval: whole ? 1 : null,
      axisTick: { customValues: null }, // an axis may have been logarithmic before
      axisLabel: { customValues: null, showMinLabel: false, showMaxLabel: false, formatter: (at) => (whole && !Number.isInteger(at) ? "" : text(Number(at.toPrecision(12)))) },
    },
  };
}

// The scale of losses that the server tells: {log, low, high}; *log* false draws it evenly all the same.
export function lossScale(told, log = told.log) {
  return scale({ low: told.low, high: told.high, log: log && told.low > 0 });
}

// The scale of these losses, as the server makes it: losses far out lie beyond it.
export function scaleOf(losses, log) {
  const finite = losses.filter((value) => isNumber(value) && Math.abs(value) < 1e280);
  const positive = finite.filter((value) => value > 0);
  const isLog = log && positive.length > 0 && finite.every((value) => value >= 0);
  const shown = (isLog ? positive.map(Math.log10) : finite).sort((a, b) => a - b);
  if (!shown.length) return scale({ low: 0, high: 1 });
  const [lower, upper] = [shown[Math.floor((shown.length - 1) / 4)], shown[Math.ceil((3 * (shown.length - 1)) / 4)]];
  const edge = shown.findLast((value) => value <= upper + 3 * (upper - lower));
  const back = (value) => (isLog ? 10 ** value : value);
  return scale({ low: back(shown[0]), high: back(edge), log: isLog });
}

// The scale of an axis of the search space; a value of a categorical one is its place among the choices.
export function axisScale(axis) {
  if (axis.kind !== "categorical") return scale({ low: axis.low, high: axis.high, log: axis.log, whole: axis.kind === "int" });
  const places = axis.choices.map((_, at) => at);
  const text = (at) => String(axis.choices[at] ?? "");
  return {
    low: -0.5,
    high: axis.choices.length - 0.5,
    text,
    place: (value) => value,
    axis: { type: "value", min: -0.5, max: axis.choices.length - 0.5, axisTick: { customValues: places }, axisLabel: { customValues: places, formatter: text } },
  };
}
