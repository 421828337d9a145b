// Choosing runs: each by its box, a range with Shift, the page, or all that match; Escape chooses none.
import { count } from "../text.js";

const MOST_COMPARED = 50;
const MOST_IN_TENSORBOARD = 50;

const form = document.querySelector("[data-many]");
const rows = document.querySelector("[data-rows]");

if (form) {
  const page = document.querySelector("[data-pick-all]");
  const words = form.querySelector("[data-many-words]");
  const takeAll = form.querySelector("[data-take-all]");
  const clear = form.querySelector("[data-clear]");
  const all = form.querySelector("[data-all]");
  const compare = form.querySelector("[data-compare]");
  const tensorboard = form.querySelector("[data-tensorboard]");
  const total = document.querySelector(".legend-line [data-total]");
  const boxes = () => [...rows.querySelectorAll("[name='id']")];
  let last;

  const show = () => {
    const found = boxes();
    const chosen = found.filter((box) => box.checked).length;
    if (chosen < found.length) all.value = "";
    for (const box of found) box.closest("tr").classList.toggle("chosen", box.checked);
    page.checked = chosen > 0 && chosen === found.length;
    page.indeterminate = chosen > 0 && chosen < found.length;
    form.hidden = chosen === 0;
    const every = all.value === "1";
    words.textContent = every ? `All ${total.textContent} runs that match` : `${count(chosen)} run${chosen === 1 ? "" : "s"} chosen`;
    takeAll.querySelector("[data-total]").textContent = total.textContent;
    takeAll.hidden = every || !page.checked || total.textContent === count(found.length);
    clear.hidden = false;
    compare.hidden = every || chosen < 2 || chosen > MOST_COMPARED;
    if (tensorboard) tensorboard.hidden = every || chosen > MOST_IN_TENSORBOARD;
    const address = new URL(compare.href);
    address.searchParams.delete("run");
    for (const box of found) if (box.checked) address.searchParams.append("run", box.value);
    compare.href = address;
  };
  const tick = (wanted) => {
    all.value = "";
    for (const box of boxes()) box.checked = wanted;
    show();
  };

  page.hidden = false;
  page.addEventListener("change", () => tick(page.checked));
  rows.addEventListener("click", (event) => {
    const box = event.target.closest("[name='id']");
    if (!box) return;
    const found = boxes();
    const before = found.findIndex(({ value }) => value === last); // its row may have been written anew meanwhile
    if (event.shiftKey && before >= 0) {
      const [from, to] = [before, found.indexOf(box)].sort((one, other) => one - other);
      for (const between of found.slice(from, to + 1)) between.checked = box.checked;
    }
    last = box.value;
    show();
  });
  rows.addEventListener("change", show);
  takeAll.addEventListener("click", () => {
    all.value = "1";
    show();
    clear.focus();
  });
  clear.addEventListener("click", () => {
    tick(false);
    page.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || form.hidden || document.querySelector("dialog[open], [data-menu][open]")) return;
    tick(false);
  }, { capture: true }); // before menus.js, which closes a menu first
  show();
}
