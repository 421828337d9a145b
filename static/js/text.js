// How values are written, and small pieces of DOM.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const dash = "–";
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function count(value) {
  return isNumber(value) ? value.toLocaleString("en") : dash;
}

export function loss(value) {
  if (!isNumber(value)) return dash;
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) >= 1e-4 && Math.abs(rounded) < 1e5
    ? String(rounded)
    : value.toExponential(3).replace(/\.?0*e\+?/, "e");
}

// A figure as people read it: error rates in per cent.
export function figure(name, value) {
  if (name === "error") return isNumber(value) ? `${(100 * value).toFixed(1)} %` : dash;
  return loss(value);
}

export function duration(seconds) {
  if (!isNumber(seconds) || seconds < 0) return dash;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.round(whole / 86400)} days`;
}

export function network(params) {
  if (!isNumber(params?.layers)) return "";
  const units = [];
  for (let layer = 1; layer <= Math.min(params.layers, 100); layer += 1) units.push(params[`units_${layer}`] ?? "?");
  return `${params.layers} layer${params.layers === 1 ? "" : "s"}: ${units.join("·")}`;
}

const NAMES = { batch_size: "batch size", train_optimizer: "optimizer" };

// The parameters of a point apart from its layers: [[name, value], …].
export function parameters(params) {
  return Object.entries(params ?? {})
    .filter(([name]) => name !== "layers" && !name.startsWith("units_"))
    .map(([name, value]) => [
      NAMES[name] ?? name.replaceAll("_", " "),
      isNumber(value) ? (Number.isInteger(value) ? count(value) : loss(value)) : String(value),
    ]);
}

export function capital(text) {
  const lower = String(text ?? "").toLowerCase();
  return lower.charAt(0).toUpperCase() + lower.slice(1);
}

export function badge(state, look = state) {
  return element("span", { class: `state state-${String(look).toLowerCase()}` }, capital(state));
}

export function time(iso) {
  if (!iso) return document.createTextNode(dash);
  const made = element("time", { datetime: iso });
  made.textContent = moment(iso);
  made.title = new Date(iso).toLocaleString();
  return made;
}

const sameYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return dash;
  return (date.getFullYear() === new Date().getFullYear() ? sameYear : otherYear).format(date);
}

export function localTimes(root) {
  for (const shown of root.querySelectorAll("time[datetime]")) {
    shown.title = shown.textContent;
    shown.textContent = moment(shown.dateTime);
  }
}

export function island(id) {
  return JSON.parse(document.getElementById(id).textContent);
}
