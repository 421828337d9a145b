// On every page: the theme button, the bell, and moments written in the reader's own zone.
import { bell } from "./notices.js";
import { localTimes } from "./text.js";

document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => window.nhopToggleTheme());
localTimes(document);
bell(document.querySelector("[data-bell]"));
