// Columns: shown, hidden and ordered in a dialog, and resized at their edges. They are kept for the account.
import { element } from "../text.js";
import { address, asked, readable, go, token } from "./address.js";
import { completeNames } from "./filters.js";

const NARROWEST = 40;
const WIDEST = 1200;
const STEP = 16;

const dialog = document.querySelector("[data-columns-dialog]");
const list = dialog.querySelector("[data-column-list]");
const input = document.getElementById("column-name");

const written = ({ name, width }) => `${/^[^,:"\s]+$/.test(name) ? name : JSON.stringify(name)}${width ? `:${width}` : ""}`;
const writeAll = (columns) => columns.map(written).join(",");

async function keep(columns) {
  const body = new URLSearchParams({ columns, csrf_token: token() });
  await fetch("/history/columns", { method: "POST", body, keepalive: true }).catch(() => null);
}

// ---- the dialog -----------------------------------------------------------------------------------------------------

function item(column, shown) {
  const id = `column-${list.children.length}-${Math.random().toString(36).slice(2, 7)}`;
  const box = element("input", { type: "checkbox", class: "form-check-input", id, checked: shown ? "" : null });
  const button = (sign, word, move) => {
    const made = element("button", { type: "button", class: "btn btn-sm btn-quiet", "aria-label": `Move ${column.name} ${word}`, title: `Move ${word}` }, sign);
    made.addEventListener("click", () => {
      move();
      made.focus();
    });
    return made;
  };
  const made = element("li", {}, element("label", { class: "form-check", for: id }, box, ` ${column.name}`));
  made.append(
    button("↑", "up", () => made.previousElementSibling?.before(made)),
    button("↓", "down", () => made.nextElementSibling?.after(made)),
  );
  made.column = column;
  made.isShown = () => box.checked;
  return made;
}

const USUAL = ["name", "state", "experiment", "started", "active", "duration", "host", "owner", "tag", "result"];

function fill(columns) {
  const shown = new Set(columns.map(({ name }) => name));
  list.replaceChildren();
  for (const column of columns) list.append(item(column, true));
  for (const name of USUAL) if (!shown.has(name)) list.append(item({ name }, false));
}

const opener = document.querySelector("[data-open-columns]");
opener.hidden = false;
opener.addEventListener("click", () => {
  fill(asked.shown);
  dialog.showModal();
});

function add() {
  const name = input.value.trim();
  if (!name) return;
  const there = [...list.children].find((made) => made.column.name === name);
  there?.remove();
  list.append(item({ name }, true));
  list.lastElementChild.scrollIntoView({ block: "nearest" });
  input.value = "";
}

completeNames(input);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  add();
});

dialog.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) dialog.close();
  if (event.target.closest("[data-add-column]")) add();
  if (event.target.closest("[data-usual]")) fill(asked.usual.columns.split(",").map((name) => ({ name })));
});

dialog.addEventListener("submit", async (event) => {
  event.preventDefault();
  add();
  const columns = writeAll([...list.children].filter((made) => made.isShown()).map((made) => made.column));
  if (!columns) return;
  await keep(columns);
  go({ columns });
});

// ---- widths ---------------------------------------------------------------------------------------------------------

const sheet = new CSSStyleSheet();
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

function applyWidths() {
  const rules = asked.shown.flatMap(({ width }, at) =>
    width ? [`.history tr > :nth-child(${at + 2}) { min-width: ${width}px; max-width: ${width}px; overflow: hidden; text-overflow: ellipsis; }`] : [],
  );
  sheet.replaceSync(rules.join("\n"));
}

// Links on the page carry the columns as well.
function rewrite() {
  asked.columns = writeAll(asked.shown);
  for (const link of document.querySelectorAll("a[href*='/history?'], a[href*='/history/export.']")) {
    const url = new URL(link.href);
    if (url.searchParams.has("view")) continue;
    url.searchParams.set("columns", asked.columns);
    link.href = readable(url);
  }
  for (const field of document.querySelectorAll("input[name='columns']")) field.value = asked.columns;
  const query = document.querySelector("[data-query]");
  query.value = address().replace(/^[^?]*\?/, "");
  const here = new URL(location.href);
  here.searchParams.set("columns", asked.columns);
  history.replaceState(null, "", readable(here));
  keep(asked.columns);
}

document.querySelectorAll(".history thead th[data-column]").forEach((head, at) => {
  const column = asked.shown[at];
  const handle = element("span", { class: "resize", role: "separator", tabindex: "0", "aria-orientation": "vertical", "aria-label": `Width of ${column.name}`, "aria-valuemin": NARROWEST, "aria-valuemax": WIDEST });
  const resize = (width) => {
    column.width = Math.round(Math.max(NARROWEST, Math.min(WIDEST, width)));
    handle.setAttribute("aria-valuenow", column.width);
    applyWidths();
  };
  handle.setAttribute("aria-valuenow", Math.round(head.getBoundingClientRect().width));
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const [start, width] = [event.clientX, head.getBoundingClientRect().width];
    handle.setPointerCapture(event.pointerId);
    const move = ({ clientX }) => resize(width + clientX - start);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", () => {
      handle.removeEventListener("pointermove", move);
      rewrite();
    }, { once: true });
  });
  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    resize((column.width ?? head.getBoundingClientRect().width) + way * STEP);
  });
  handle.addEventListener("keyup", (event) => {
    if (["ArrowLeft", "ArrowRight"].includes(event.key)) rewrite();
  });
  handle.addEventListener("dblclick", () => {
    delete column.width;
    applyWidths();
    rewrite();
  });
  head.append(handle);
});

applyWidths();
