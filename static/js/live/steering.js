// Steering: every action is answered at once, and the page says when the engine has taken it up.
import { follow, on } from "./bus.js";
import { hasEnded, state, take } from "./state.js";
import { find } from "./words.js";
import { element } from "../text.js";

const PATH = `/sweeps/${encodeURIComponent(state.sweep.id)}`;
const SHOWN_MS = 8000;

// Whether this viewer may still act on the sweep.
export const steers = () => Boolean(find("token")) && !hasEnded();

// ---- sending ------------------------------------------------------------------------------------------------------

// Post to a route of the sweep. Returns {ok, said}: what the server answered. Refusals go to *refuse*, but for those that
// are a part of a page.
export async function send(path, body, { refuse = refused } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": find("token").value };
  if (body !== undefined && !(body instanceof FormData)) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(`${PATH}/${path}`, {
      method: "POST",
      headers,
      body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
    });
    const type = answer.headers.get("Content-Type") ?? "";
    const said = answer.status === 204 ? {} : type.includes("json") ? await answer.json() : await answer.text();
    if (answer.ok) refused("");
    else if (typeof said !== "string") refuse(said.problems ? sentence(said.problems.map(({ message }) => message).join("; ")) : said.detail, said);
    return { ok: answer.ok, said };
  } catch {
    refuse("The server does not answer; try again.", {});
    return { ok: false, said: {} };
  }
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

export function refused(reason) {
  const place = find("refused");
  place.hidden = !reason;
  place.textContent = reason;
}

// Do *title* by a post, and tell when the engine has taken it up: when isDone() says so, or where isDone is "version",
// when the engine works by the version that the post has made. *wish* is what the sweep's document then has.
export async function act(title, path, { body, isDone, button, wish } = {}) {
  if (button) button.disabled = true;
  const answer = await send(path, body);
  if (button) button.disabled = answer.ok && button.dataset.does === "act"; // its row is drawn anew when it is done
  if (!answer.ok) return answer;
  if (wish) take("sweep", wish);
  pend(answer.said.version ? `${title}: version ${answer.said.version}` : title, isDone === "version" ? byVersion(answer.said.version) : isDone);
  return answer;
}

export const byVersion = (version) => () => state.sweep.applied >= version;

// ---- what the engine has taken up ---------------------------------------------------------------------------------

const pending = new Set();

export function pend(title, isDone) {
  const place = find("taken");
  const words = element("span", {}, state.sweep.state === "QUEUED" ? "stored; in force when the sweep begins" : "waiting for the engine…");
  const entry = { isDone, began: performance.now(), row: element("li", { class: "is-waiting" }, element("strong", {}, title), " – ", words), words };
  place.prepend(entry.row);
  while (place.children.length > 4) place.lastChild.remove();
  pending.add(entry);
  if (state.sweep.state === "QUEUED") leave(entry);
  else check();
}

export function watchPending() {
  on(["sweep", "trial", "process", "edit"], check);
}

function check() {
  for (const entry of pending) {
    if (entry.isDone()) {
      entry.words.textContent = `taken up after ${((performance.now() - entry.began) / 1000).toFixed(1)} s`;
      leave(entry);
    } else if (hasEnded()) {
      entry.words.textContent = "the sweep has ended";
      leave(entry);
    }
  }
}

function leave(entry) {
  pending.delete(entry);
  entry.row.className = "is-taken";
  setTimeout(() => entry.row.remove(), SHOWN_MS);
}

// ---- asking first -------------------------------------------------------------------------------------------------

// Whether the user wants what cannot be undone.
export function confirmed(title, text, no, yes) {
  const dialog = find("confirm-dialog");
  find("confirm-title").textContent = title;
  find("confirm-text").textContent = text;
  find("confirm-no").textContent = no;
  find("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// ---- the buttons --------------------------------------------------------------------------------------------------

function buttons() {
  const { sweep } = state;
  const open = !hasEnded();
  const runs = ["RUNNING", "PAUSED"].includes(sweep.state) && !sweep.stop_requested;
  find("steering").hidden = !open;
  if (!open) return;
  const set = (name, isShown, text) => {
    find(name).hidden = !isShown;
    if (text && find(name).textContent !== text) find(name).textContent = text;
  };
  set("pause", runs, sweep.pause_requested ? "Resume" : "Pause");
  set("finish", runs, sweep.finish_requested ? "Finishing…" : "Finish…");
  find("finish").disabled = Boolean(sweep.finish_requested);
  set("change", !sweep.stop_requested);
  set("extend", !sweep.stop_requested);
  set("points", !sweep.stop_requested);
  set("stop", true, sweep.stop_requested ? "Stopping…" : "Stop");
  find("stop").disabled = Boolean(sweep.stop_requested);
  find("priority").hidden = sweep.state !== "QUEUED";
}

function start() {
  find("pause").addEventListener("click", (event) => {
    const pause = !state.sweep.pause_requested;
    act(pause ? "Pause" : "Resume", pause ? "pause" : "resume", {
      button: event.currentTarget,
      wish: { pause_requested: pause },
      isDone: () => state.sweep.state === (pause ? "PAUSED" : "RUNNING"),
    });
  });
  find("finish").addEventListener("click", async () => {
    const sure = await confirmed("Finish this sweep?", "No more trials are proposed. Those in training end as they would, and the best are confirmed. This cannot be taken back.", "Go on searching", "Finish the sweep");
    if (sure) act("Finish", "finish", { wish: { finish_requested: true }, isDone: () => Boolean(state.sweep.ended_because) });
  });
  find("stop").addEventListener("click", async () => {
    const sure = await confirmed("Stop this sweep?", "Trials in training end where they are, without a result. Those that have finished are kept. A stopped sweep cannot be continued.", "Keep it running", "Stop the sweep");
    if (sure) act("Stop", "stop", { wish: { stop_requested: true }, isDone: hasEnded });
  });
  const priority = find("priority");
  const input = priority.querySelector("input");
  input.value = state.sweep.priority ?? 0;
  priority.addEventListener("submit", (event) => {
    event.preventDefault();
    act(`Priority ${input.value}`, "priority", { body: { priority: input.valueAsNumber }, wish: { priority: input.valueAsNumber }, isDone: () => true });
  });
  on("sweep", (data) => {
    if (data.priority !== undefined && document.activeElement !== input) input.value = data.priority;
  });
  watchPending();
  follow(document.body, ["sweep"], buttons);
}

if (find("token") && find("steering")) start();
