// The form of a new sweep. The server knows the rules and makes the pages: this sends what is typed, puts its answers
// in place, and keeps a draft.
import { show } from "./new/check.js";
import { Draft } from "./new/draft.js";
import { prepareStages, pressed } from "./new/stages.js";
import { localTimes } from "./text.js";

const PAUSE = 350; // ms between the last key and the question to the server
const SWEEP = /^\/sweeps\/[0-9a-f]{12}$/;

const root = document.querySelector("[data-form-page]");
const draft = new Draft(root.dataset.viewer);
const form = () => root.querySelector("[data-sweep-form]");
const OWN = ["csrf_token", "made"]; // what is the form's, not what is typed
const entries = () => [...new FormData(form())].filter(([name]) => !OWN.includes(name));
const body = (pairs) => new URLSearchParams([...OWN.map((name) => [name, form().elements[name].value]), ...pairs]);
const about = (name) => form().getAttribute(`data-${name}`); // form.dataset is the input of that name
const said = () => root.querySelector("[data-said]");

let timer = null;
let asking = null;

// --- what the server says while somebody types

function touched(at_once) {
  draft.keep(entries());
  clearTimeout(timer);
  timer = setTimeout(check, at_once ? 0 : PAUSE);
}

async function check() {
  clearTimeout(timer);
  asking?.abort();
  asking = new AbortController();
  try {
    const headers = { Accept: "application/json" };
    const response = await fetch(about("check"), { method: "POST", body: body(entries()), headers, signal: asking.signal });
    if (!response.ok) throw new Error((await response.json()).detail);
    show(root, await response.json());
  } catch (error) {
    if (error.name !== "AbortError") said().textContent = unanswered(error);
  }
}

function unanswered(error) {
  const why = error instanceof TypeError ? "The server does not answer." : error.message;
  return `${why} What you have typed is kept in this browser.`;
}

// --- pages in place of this one

async function send(address, pairs, focus) {
  clearTimeout(timer);
  asking?.abort();
  try {
    const response = await fetch(address, { method: "POST", body: body(pairs) });
    if (response.ok && response.redirected && SWEEP.test(new URL(response.url).pathname)) {
      draft.drop();
      location.assign(response.url);
      return false;
    }
    return replace(await response.text(), focus);
  } catch (error) {
    ready();
    said().textContent = unanswered(error);
    return false;
  }
}

function replace(html, focus) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  const fresh = answer.querySelector("[data-form-page]");
  if (!fresh) {
    ready();
    said().textContent = unanswered(new Error([...answer.querySelectorAll("main h1, main p:not(.error-code)")].slice(0, 2).map((part) => part.textContent.trim()).join(". ")));
    return false;
  }
  const open = [...root.querySelectorAll("details[open]")].map((more) => more.closest("[data-group]").dataset.group);
  root.replaceChildren(...fresh.childNodes);
  for (const group of open) root.querySelector(`[data-group="${group}"] details`)?.setAttribute("open", "");
  document.title = answer.title;
  prepare();
  root.querySelector(focus)?.focus();
  return true;
}

function restore(pairs, focus) {
  return send(about(pairs.some(([name]) => name === "yaml") ? "as-text" : "fill"), pairs, focus);
}

function notice(text, action, act) {
  const place = root.querySelector("[data-notice]");
  place.querySelector("[data-notice-text]").replaceChildren(text);
  const button = place.querySelector("[data-notice-action]");
  button.textContent = action;
  button.onclick = act;
  place.hidden = false;
}

// --- buttons

const BUSY = { submit: "Starting…", readAxes: "Reading…" };

function ready() {
  for (const button of root.querySelectorAll("[data-label]")) {
    button.disabled = false;
    button.textContent = button.dataset.label;
    button.removeAttribute("data-label");
  }
}

function busy(button) {
  const name = Object.keys(BUSY).find((key) => key in button.dataset);
  if (!name) return;
  button.dataset.label = button.textContent;
  button.textContent = BUSY[name];
  button.disabled = true;
}

async function submit(event) {
  event.preventDefault();
  const button = event.submitter?.matches("[formaction]") ? event.submitter : root.querySelector("[data-submit]");
  if (button.disabled) return;
  const before = entries();
  const pairs = button.name ? [...before, [button.name, button.value]] : before;
  const address = button.getAttribute("formaction") ?? form().action;
  busy(button);
  const { preset, view } = button.dataset;
  const wrong = "[data-problems]:not([hidden])";
  const focus = preset ? `[data-preset="${preset}"]` : view ? `[data-view="${view}"]` : `${wrong}, [data-read-axes]`;
  if (!(await send(address, pairs, focus))) return;
  draft.keep(entries());
  if (view === "form" && root.querySelector("[data-text]")) root.querySelector("[data-problems]").focus();
  if (!preset) return;
  const title = root.querySelector(`#preset-${preset}`).textContent;
  notice(`“${title}” is filled in. `, "Undo", async () => {
    if (await restore(before, focus)) draft.keep(entries());
  });
}

async function copyLink() {
  await check();
  const link = about("link");
  const [place, text] = ["[data-link-shown]", "[data-link-text]"].map((selector) => root.querySelector(selector));
  const says = root.querySelector("[data-link-says]");
  place.hidden = false;
  text.hidden = !link;
  if (!link) {
    says.textContent = "There is too much in it for a link; copy the YAML instead.";
    return;
  }
  text.value = new URL(link, location.href).href;
  text.focus();
  text.select();
  says.textContent = "A link that opens the form as it is now:";
  try {
    await navigator.clipboard.writeText(text.value);
    says.textContent = "Copied: a link that opens the form as it is now.";
  } catch { /* not on an address without TLS: it is selected, and can be copied by hand */ }
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  if (button.matches("[data-copy-link]")) copyLink();
  else if (button.matches("[data-start-over]")) draft.putAside();
  else if (button.hash && button.closest("[data-problems], [data-said]")) goTo(event, button);
  else if (button.type === "button" && root.querySelector("[data-stage-rows]") && pressed(root, button)) touched(true);
});

function goTo(event, link) {
  const target = document.getElementById(link.hash.slice(1));
  if (!target) return;
  event.preventDefault();
  target.closest("details")?.setAttribute("open", "");
  target.focus();
  if (link.dataset.line) selectLine(target, Number(link.dataset.line));
  target.scrollIntoView({ block: "center" });
}

function selectLine(text, line) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1);
  text.setSelectionRange(start, start + lines[line - 1].length);
  text.scrollTop = (line - 5) * parseFloat(getComputedStyle(text).lineHeight);
}

// --- the beginning

const seen = new IntersectionObserver((sections) => {
  for (const { target, isIntersecting } of sections) {
    const step = root.querySelector(`[data-step="${target.dataset.group}"]`);
    if (isIntersecting) step?.setAttribute("aria-current", "true");
    else step?.removeAttribute("aria-current");
  }
}, { rootMargin: "-25% 0px -74% 0px" });

function prepare() {
  prepareStages(root);
  localTimes(root);
  root.querySelector("[data-copy-link]").hidden = false;
  seen.disconnect();
  root.querySelectorAll("[data-group]").forEach((section) => seen.observe(section));
}

root.addEventListener("submit", submit);
root.addEventListener("input", (event) => touched(event.target.matches("[type=radio], [type=checkbox], select")));
addEventListener("pageshow", ready);
prepare();

const kept = draft.read();
if ("sent" in root.dataset) {
  history.replaceState(null, "", root.dataset.home); // the form was sent before this script was there
  root.querySelector("[data-problems]:not([hidden])")?.focus();
} else if (kept) {
  const at = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(kept.at);
  if (kept.aside || kept.search !== location.search) {
    notice(`There is a draft of ${at}. `, "Open it", async () => {
      if (await restore(kept.entries, "[data-view]")) draft.keep(entries());
    });
  } else if (await restore(kept.entries, null)) {
    notice(`Draft of ${at} restored. `, "Discard", () => { draft.drop(); location.reload(); });
  }
}
