// The log: lines of a level that hold a text, the newest in sight.
import { follow, on } from "./bus.js";
import { state } from "./state.js";
import { clock, find } from "./words.js";
import { count, element } from "../text.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const RAW = /^(Running command|Queuing-up command|Started run with ID|Started$|Result:|Completed after)/;

const place = find("lines");
const form = find("log-filters");
const note = document.querySelector("[data-tab-note='log']");
let drawn = []; // the lines that stand in the page, of state.log
let asked = "";

function row(line) {
  const level = String(line.level ?? "INFO").toUpperCase();
  const raw = RAW.test(line.text ?? "");
  return element("div", { class: `log-line level-${level.toLowerCase()}${raw ? " log-raw" : ""}` },
    element("time", {}, clock(line.at)),
    LEVELS.indexOf(level) > 1 ? element("span", { class: "log-level" }, `${level.toLowerCase()} `) : null,
    line.text ?? "");
}

function draw() {
  const text = form.elements.text.value.trim().toLowerCase();
  const least = LEVELS.indexOf(form.elements.level.value);
  const shown = state.log.filter((line) =>
    LEVELS.indexOf(String(line.level ?? "INFO").toUpperCase()) >= least && (!text || String(line.text).toLowerCase().includes(text)));
  const question = `${least} ${text}`;
  const gone = drawn.indexOf(shown[0]); // lines at the beginning that the page holds no more
  const isSame = question === asked && gone >= 0 && drawn.length - gone <= shown.length;
  if (!shown.length) {
    place.replaceChildren(element("div", { class: "log-none" }, state.log.length ? "No line is like that." : "Nothing has been written yet."));
  } else if (isSame) {
    for (let line = 0; line < gone; line += 1) place.firstChild.remove();
    place.append(...shown.slice(drawn.length - gone).map(row));
  } else {
    place.replaceChildren(...shown.map(row));
  }
  [drawn, asked] = [shown, question];
  find("log-shown").textContent = shown.length < state.log.length ? `${count(shown.length)} of ${count(state.log.length)} lines` : "";
  if (find("log-follow").checked) place.scrollTop = place.scrollHeight;
}

form.addEventListener("input", draw);
form.addEventListener("submit", (event) => event.preventDefault());
place.addEventListener("scroll", () => {
  // Scrolling up ends following, scrolling to the end takes it up again.
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 8;
  find("log-follow").checked = atEnd;
});
follow(document.getElementById("pane-log"), ["log"], draw);
on("log", (data) => {
  if (data.lines?.some((line) => String(line.level).toUpperCase() === "ERROR")) note.textContent = "!";
});
on("shown", (name) => { if (name === "log") note.textContent = ""; });
