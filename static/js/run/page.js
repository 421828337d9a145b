// The page of a run: its metrics and output, and everything else that changes while it runs.
import { connect } from "../socket.js";
import { badge, duration, element, island, localTimes, time } from "../text.js";
import { database } from "./database.js";
import { Lines } from "./series.js";
import { Output } from "./output.js";
import { watchTrees } from "./tree.js";

const RENEW = 5000;

const run = island("run");
let state = run.state;
const ended = () => !["running", "queued", "dead"].includes(state);
const output = new Output(document.querySelector("[data-output]"), run.id, run.output, () => !ended());
const axis = document.querySelector("[data-axis]");
const smooth = document.querySelector("[data-smooth]");
const chosen = () => [...document.querySelectorAll("[data-choose]:checked")].map((box) => box.value);

const settings = (query) => {
  query.set("x", axis.value);
  if (Number(smooth.value)) query.set("smooth", smooth.value);
  return query;
};
const ask = (names) => settings(new URLSearchParams([["id", run.id], ...Object.entries(database), ...names.map((name) => ["name", name])]));
const common = { address: "/history/run/metrics.json", axis: () => axis.value };

const cards = new Map();
function draw(place) {
  const name = place.dataset.metric;
  cards.set(name, new Lines(place.querySelector("[data-chart]"), { ...common, ask: () => ask([name]), file: name.replace(/[^\w.-]+/g, "-") }));
}
document.querySelectorAll("[data-metric]").forEach(draw);
const together = document.querySelector("[data-together]");
const all = new Lines(together.querySelector("[data-chart]"), { ...common, ask: () => ask(chosen()), file: "metrics", empty: "No metric is chosen." });

for (const select of [axis, smooth]) select.addEventListener("change", () => {
  cards.forEach((card) => card.renew());
  if (!together.hidden) all.load();
});
document.querySelector("[data-choices]").addEventListener("change", () => {
  together.hidden = chosen().length === 0;
  if (!together.hidden) all.load();
});

watchTrees(document);
watchPreviews(document);

// Files are shown when they are asked for.
function watchPreviews(root) {
  for (const details of root.querySelectorAll("[data-preview]")) {
    details.addEventListener("toggle", async () => {
      if (!details.open || details.dataset.is) return;
      details.dataset.is = "loading";
      const place = details.querySelector("[data-preview-place]");
      try {
        place.replaceChildren(...(await part(details.dataset.preview, "[data-file]")).childNodes);
        details.dataset.is = "shown";
      } catch (error) {
        place.textContent = `It cannot be shown: ${error.message}`;
        details.dataset.is = "";
      }
    });
  }
}

// A part of a page of ours.
async function part(address, selector) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.querySelector(selector);
  if (!answer.ok || !found) throw new Error(page.querySelector("main p")?.textContent ?? `the server answered ${answer.status}`);
  return document.importNode(found, true);
}

document.querySelector("[data-copy]")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(document.querySelector("[data-line]").textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.querySelector("[data-line]"));
    button.textContent = "Selected: copy it with Ctrl+C";
  }
});

// Parts of the page that the server has written anew, told by their text as it came: what a reader has opened stays open.
const written = new Map([...document.querySelectorAll("[data-part]")].map((shown) => [shown.dataset.part, shown.innerHTML]));
let renewing = 0;
let renewed = 0;

function renew() {
  if (renewing) return;
  renewing = setTimeout(async () => {
    try {
      const page = await part(location.href, "main");
      for (const fresh of page.querySelectorAll("[data-part]")) {
        const name = fresh.dataset.part;
        localTimes(fresh);
        if (fresh.innerHTML === written.get(name)) continue;
        written.set(name, fresh.innerHTML);
        const shown = document.querySelector(`[data-part="${name}"]`);
        shown.replaceChildren(...fresh.childNodes);
        watchTrees(shown);
        watchPreviews(shown);
      }
      renewMetrics(page);
    } catch { /* the next beat tries again */ }
    renewed = performance.now();
    renewing = 0;
  }, Math.max(0, renewed + RENEW - performance.now()));
}

// What is said of the metrics, and the charts of those that the run has logged since.
function renewMetrics(page) {
  for (const fresh of page.querySelectorAll("[data-metric]")) {
    const name = fresh.dataset.metric;
    if (cards.has(name)) {
      document.querySelector(`[data-metric="${CSS.escape(name)}"] .chart-about`).textContent = fresh.querySelector(".chart-about").textContent;
      continue;
    }
    const title = fresh.querySelector("h2");
    const old = title.id;
    title.id = `chart-metric-${cards.size + 1}`;
    for (const named of fresh.querySelectorAll(`[aria-labelledby="${old}"]`)) named.setAttribute("aria-labelledby", title.id);
    document.querySelector("[data-metrics]").append(fresh);
    document.querySelector("[data-choices]").append(page.querySelector(`[data-choice="${CSS.escape(name)}"]`));
    document.querySelector("[data-when-metrics]").hidden = false;
    document.querySelector("[data-no-metrics]").hidden = true;
    draw(fresh);
  }
}

function tell(news) {
  state = news.state;
  output.tell();
  document.querySelector("[data-state]").replaceChildren(badge(news.label, news.state));
  document.querySelector("[data-result]").textContent = news.result || "–";
  document.querySelector("[data-until-label]").textContent = news.ended ? "Ended" : "Last activity";
  document.querySelector("[data-until]").replaceChildren(time(news.ended ?? news.active));
  document.querySelector("[data-seconds]").textContent = duration(news.seconds);
  renew();
  socket?.renew();
}

let socket = null;
if (run.live) {
  socket = connect(
    (open, done) => open.emit("join_run", { run: run.id, output: output.end, ...database }, (answer) => {
      if (answer?.news) tell(answer.news);
      for (const [name, total] of Object.entries(answer?.metrics ?? {})) {
        const data = cards.get(name)?.data;
        if (data && data.lines[0]?.total !== total) cards.get(name).load();
        if (!cards.has(name)) renew();
      }
      done(answer);
    }),
    ended,
  );
  socket.on("run", (news) => { if (news.run === run.id) tell(news); });
  socket.on("run_output", (more) => { if (more.run === run.id) output.add(more); });
  socket.on("run_metrics", ({ run: id, metrics }) => {
    if (id !== run.id) return;
    for (const metric of metrics) {
      if (!cards.has(metric.name)) renew();
      cards.get(metric.name)?.add(metric, Number(smooth.value) > 0);
      if (!together.hidden && chosen().includes(metric.name)) all.add(metric, Number(smooth.value) > 0);
    }
  });
}
