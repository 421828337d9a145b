// Rows follow what is stored. A row that is shown changes in its place; a new one comes in at the top while nobody
// reads there, else a button says how many there are.
import { connect } from "../socket.js";
import { count, localTimes } from "../text.js";
import { asked } from "./address.js";

const MOST_ADDED = 200;

const section = document.querySelector("[data-runs]");
const rows = document.querySelector("[data-rows]");
const bar = document.querySelector("[data-fresh]");
const button = document.querySelector("[data-show-fresh]");
const progress = document.querySelector("[data-progress]");
const legend = document.querySelector("[data-legend]");
const total = document.querySelector("[data-total]");
const words = document.querySelector("[data-words]");

let newest = asked.newest;
const waiting = new Set();
const newestFirst = asked.first && asked.sort === "-started";

const isRead = () => section.matches(":hover") || section.contains(document.activeElement) || window.scrollY > section.offsetTop;

function parsed(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  localTimes(made.content);
  return [...made.content.querySelectorAll("tr")];
}

// A value that is missing stands where the numbers of its column do.
function alignMissing(row) {
  const heads = rows.closest("table").tHead.rows[0].cells;
  for (const [at, cell] of [...row.cells].entries()) if (cell.textContent.trim() === "–") cell.className = heads[at].className;
}

function tellFresh() {
  bar.hidden = waiting.size === 0;
  button.textContent = `Show ${count(waiting.size)} ${waiting.size === 1 ? "run that is" : "runs that are"} new or changed`;
}

button.addEventListener("click", () => location.reload());

function take({ html, gone, moved, total: all, states, progress: now }) {
  const changed = new Set(moved);
  for (const made of parsed(html).reverse()) {
    const n = Number(made.dataset.n);
    const shown = rows.querySelector(`tr[data-n="${n}"]`);
    alignMissing(made);
    if (shown) {
      const focused = shown.contains(document.activeElement) ? document.activeElement.tagName : "";
      made.querySelector("[name='id']").checked = shown.querySelector("[name='id']").checked;
      shown.replaceWith(made);
      if (focused) made.querySelector(focused)?.focus();
      made.classList.add("changed");
    } else if (changed.has(n) && asked.first) {
      if (newestFirst && n > newest && !isRead() && rows.children.length < asked.size + MOST_ADDED) {
        rows.prepend(made);
        made.classList.add("changed");
        section.hidden = false;
        document.querySelector("[data-nothing]")?.setAttribute("hidden", "");
      } else {
        waiting.add(n);
      }
    }
  }
  for (const n of gone) {
    waiting.delete(n);
    rows.querySelector(`tr[data-n="${n}"]`)?.remove();
  }
  rows.dispatchEvent(new Event("change", { bubbles: true }));
  if (waiting.size > 0) refill();
  tellFresh();
  total.textContent = count(all);
  words.textContent = words.dataset.words.split("|")[all === 1 ? 0 : 1];
  for (const link of legend.querySelectorAll("[data-key]")) link.querySelector(".count").textContent = count(states[link.dataset.key] ?? 0);
  tellProgress(now);
}

function tellProgress({ ready, runs, waiting: left, metrics }) {
  progress.hidden = ready && metrics === 0;
  progress.textContent = ready
    ? `Metrics are being read: ${count(metrics)} are to come.`
    : `Runs are being read: ${count(runs)} are here, ${count(left)} are to come.`;
}

// Runs that had not been read when the page was asked for, which shows none: they come with a reload.
function refill() {
  if (!rows.children.length && !asked.problem) location.reload();
}

function ask(open, done) {
  const shown = [...rows.children].map((made) => Number(made.dataset.n));
  open.emit("join_history", { query: asked.query, newest, version: asked.version, shown }, (answer) => {
    asked.version = -1; // after a reconnection everything shown is asked for again
    done(answer);
  });
}

const socket = connect(ask);
socket.on("runs", take);
socket.on("runs_progress", (now) => {
  tellProgress(now);
  if (now.stale) ask(socket, () => {});
  if (now.runs > 0) refill();
});
