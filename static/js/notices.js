// The bell: notifications of this browser when sweeps end, on whatever page is open. Asked for by a click alone.
import { shared } from "./socket.js";
import { loss } from "./text.js";

const CHOICE = "nhop-notices";
const SEEN = "nhop-notices-seen";
const ENDS = { COMPLETED: "has completed", FAILED: "has failed" };
const HINT = "When it has completed or failed, while any page of the dashboard is open.";

const kept = (key) => {
  try { return localStorage.getItem(key); } catch { return null; }
};
const keep = (key, value) => {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch { /* storage is blocked: then until the page is left */ }
};

// Why this browser shows none; empty: it does, or would if it were asked.
function obstacle() {
  if (!window.isSecureContext) return "Browsers show notifications only over HTTPS, and on localhost.";
  if (!("Notification" in window)) return "This browser has no notifications.";
  if (Notification.permission === "denied") return "This browser blocks the notifications of this site; allow them in its settings.";
  return "";
}

export function bell(menu) {
  if (!menu) return;
  const words = menu.querySelector("[data-bell-words]");
  const radios = [...menu.querySelectorAll("input[name=notices]")];
  let choice = "off";
  let seen = null;
  let watching = false;

  function settle(wanted) {
    const usable = !obstacle() && Notification.permission === "granted" && radios.some((radio) => radio.value === wanted);
    choice = usable ? wanted : "off";
    for (const radio of radios) radio.checked = radio.value === choice;
    menu.dataset.is = choice === "off" ? "off" : "on";
    words.textContent = obstacle() || HINT;
    if (choice !== "off") watch();
  }

  function watch() {
    if (watching) return;
    watching = true;
    const socket = shared();
    const join = () => socket.emit("join_notices", {}, (answer) => {
      if (answer?.ended) tell(answer.ended);
      else if (answer?.retry) setTimeout(() => socket.connected && join(), 1500);
    });
    socket.on("connect", join);
    socket.on("ended", tell);
    if (socket.connected) join();
  }

  // One page at a time, so that two that are open do not both tell of a sweep.
  function tell(sweeps) {
    if (choice === "off") return;
    if (navigator.locks) navigator.locks.request(SEEN, () => show(sweeps));
    else show(sweeps);
  }

  function show(sweeps) {
    const known = kept(SEEN) ?? seen;
    const before = known === null ? null : JSON.parse(known);
    seen = JSON.stringify(sweeps.map((sweep) => sweep.id));
    keep(SEEN, seen);
    if (before === null) return; // what ended before is no news
    for (const sweep of sweeps) {
      const wanted = choice === "all" || sweep.owner.toLowerCase() === menu.dataset.name.toLowerCase();
      if (ENDS[sweep.state] && wanted && !before.includes(sweep.id)) notify(sweep);
    }
  }

  function notify(sweep) {
    const body = sweep.state === "FAILED" ? sweep.error ?? "" : `Best loss ${loss(sweep.best)}`;
    try {
      const shown = new Notification(`${sweep.name} ${ENDS[sweep.state]}`, { body: body.slice(0, 200), tag: sweep.id, icon: menu.dataset.logo });
      shown.addEventListener("click", () => {
        window.focus();
        location.assign(`/sweeps/${encodeURIComponent(sweep.id)}`);
      });
    } catch { // Chrome on Android takes them from service workers only
      settle("off");
      words.textContent = "This browser shows no notifications of open pages.";
    }
  }

  menu.addEventListener("change", async ({ target }) => {
    let wanted = target.value;
    if (wanted !== "off" && !obstacle() && Notification.permission !== "granted") {
      words.textContent = "Your browser asks whether this site may show notifications.";
      await Notification.requestPermission();
    }
    if (choice === "off") {
      seen = null;
      keep(SEEN, null);
    }
    settle(wanted);
    keep(CHOICE, choice);
    if (wanted !== choice && !obstacle()) words.textContent = "Without the browser's permission there are none.";
    if (watching && choice !== "off") shared().emit("join_notices", {}, (answer) => answer?.ended && tell(answer.ended));
  });
  addEventListener("storage", ({ key, newValue }) => key === CHOICE && settle(newValue ?? "off"));
  settle(kept(CHOICE) ?? "off");
}
