// On the page of an outage: look whether the database answers again, and reload once it does.
const note = document.querySelector("[data-retry]");
note.textContent = "Looking again every few seconds…";
setInterval(async () => {
  try {
    const answer = await fetch("/healthz", { cache: "no-store" });
    if (answer.ok) location.reload();
  } catch { /* the server is away too: go on looking */ }
}, 3000);
