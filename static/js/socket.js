// The websocket: one connection for a page, its state always visible.
import { io } from "../vendor/socket.io-client-4.8.4/socket.io.esm.min.js";

const WORDS = {
  connecting: "connecting…",
  live: "live",
  ended: "ended",
  reconnecting: "reconnecting…",
  database: "the database does not answer…",
  login: "logged out",
  refused: "not live: reload the page",
};

const toLogin = () => location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);

let opened = null;

// The page's one connection, opened by whoever needs it first.
export function shared() {
  if (opened) return opened;
  opened = io({ transports: ["websocket"], reconnectionDelay: 300, reconnectionDelayMax: 2000, timeout: 5000 });
  // The server closed it (it is stopping, or the session ended), or refused it: the client does not come back by itself then.
  opened.on("disconnect", (reason) => reason === "io server disconnect" && setTimeout(() => opened.connect(), 1000));
  opened.on("connect_error", (error) => error.message === "database" && setTimeout(() => opened.connect(), 2000));
  return opened;
}

// Connect and call join(socket) at every (re)connection. hasEnded() says whether anything can still come; call the
// socket's `renew` when that changes.
export function connect(join, hasEnded = () => false) {
  const shown = document.querySelector("[data-connection]");
  let said = "";
  const say = (state) => {
    said = state;
    const word = state === "live" && hasEnded() ? "ended" : state;
    shown.dataset.is = ["live", "ended"].includes(word) ? word : state === "connecting" ? "wait" : "lost";
    if (shown.textContent !== WORDS[word]) shown.textContent = WORDS[word];
  };
  say("connecting");
  const socket = shared();
  const enter = () =>
    join(socket, (answer) => {
      if (!socket.connected) return; // it is asked again with the next connection
      if (answer?.login) {
        say("login");
        toLogin();
      } else if (answer?.reload) {
        location.reload();
      } else if (answer?.retry) {
        say("database");
        setTimeout(() => socket.connected && enter(), 1500);
      } else {
        say(answer?.error ? "refused" : "live");
        shown.title = answer?.error ?? "";
      }
    });
  socket.on("connect", enter);
  socket.on("disconnect", () => say("reconnecting"));
  socket.on("connect_error", (error) => {
    if (error.message === "login") {
      say("login");
      toLogin();
    } else {
      say(error.message === "database" ? "database" : "reconnecting");
    }
  });
  socket.on("database", ({ ok }) => say(ok ? "live" : "database"));
  socket.renew = () => say(said);
  if (socket.connected) enter();
  return socket;
}
