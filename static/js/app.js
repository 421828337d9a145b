// On every page: the theme button, menus, the bell, moments written in the reader's own zone, and a logout that leaves
// nothing.
import { Draft } from "./new/draft.js";
import "./menus.js";
import { bell } from "./notices.js";
import { localTimes } from "./text.js";

document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => window.nhopToggleTheme());
localTimes(document);
bell(document.querySelector("[data-bell]"));

const leaving = document.querySelector("form[data-leaves]");
leaving?.addEventListener("submit", () => new Draft(leaving.dataset.leaves).drop());
