// On every page: the theme button, and moments written in the reader's own zone.
import { localTimes } from "./text.js";

document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => window.nhopToggleTheme());
localTimes(document);
