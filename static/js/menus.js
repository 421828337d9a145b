// Menus, each a <details data-menu>: one is open at a time; Escape, a click outside and a focus that moves on close it.
const OPEN = "details[data-menu][open]";

// Close one, and let the keyboard go on from there.
export function close(menu) {
  menu.open = false;
  menu.querySelector("summary").focus({ preventScroll: true });
}

// All but the one that holds *kept*.
function others(kept) {
  const closed = [...document.querySelectorAll(OPEN)].filter((menu) => !menu.contains(kept));
  for (const menu of closed) menu.open = false;
  return closed;
}

document.addEventListener("click", ({ target }) => {
  const [menu] = others(target);
  if (menu && document.activeElement.tabIndex < 0) close(menu); // nothing that was clicked has taken the focus
});
document.addEventListener("focusin", ({ target }) => {
  if (target.tabIndex >= 0) others(target);
});
document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && document.querySelector(OPEN);
  if (menu) close(menu);
});
