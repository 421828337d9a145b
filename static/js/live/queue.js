// Why a sweep waits: told again when something has changed on the home page.
import { on, tell } from "./bus.js";
import { state } from "./state.js";

export function watchQueue(socket) {
  const waits = () => state.sweep.state === "QUEUED";
  const join = () => { if (waits()) socket.emit("join_home", {}, () => {}); };
  const look = async () => {
    if (!waits()) return;
    try {
      const answer = await fetch(`/sweeps/${encodeURIComponent(state.sweep.id)}/queue.json`, { headers: { Accept: "application/json" } });
      if (answer.ok) state.queue = (await answer.json()).text;
      tell("queue", state.queue);
    } catch { /* the connection's state is shown elsewhere */ }
  };
  if (waits()) {
    socket.on("connect", join);
    socket.on("overview", look);
    on("sweep", (data) => { if (data.priority !== undefined) look(); });
  }
}
