// The list of imports is read anew while one of them goes on.
import { localTimes } from "../text.js";

const RENEW = 1500;

async function renew() {
  const shown = document.querySelector("[data-imports]");
  if (!shown.hasAttribute("data-open")) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-imports]");
    if (answer.ok && page && !shown.querySelector("details[open]")) {
      localTimes(page);
      shown.replaceWith(page);
    }
  } catch {
    // It is asked again.
  }
  setTimeout(renew, RENEW);
}

setTimeout(renew, RENEW);
