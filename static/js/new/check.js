// What the server says of the form while somebody types, put at its places: problems, notes, pictures, the review.
import { element } from "../text.js";

function say(place, text) {
  if (place && place.textContent !== text) place.textContent = text;
}

export function show(root, answer) {
  for (const field of root.querySelectorAll("[data-field]")) {
    const said = answer.fields[field.dataset.field];
    if (said) showField(field, said);
  }
  for (const [group, count] of Object.entries(answer.wrong)) {
    const badge = root.querySelector(`[data-wrong="${group}"]`);
    badge.hidden = count === 0;
    say(badge.querySelector("[data-number]"), String(count));
  }
  for (const [group, sentence] of Object.entries(answer.hidden)) say(root.querySelector(`[data-hidden="${group}"]`), sentence);
  for (const card of root.querySelectorAll("[data-preset]")) {
    const chosen = card.dataset.preset === answer.preset;
    card.classList.toggle("chosen", chosen);
    card.setAttribute("aria-pressed", chosen);
  }
  root.querySelector("[data-review]").innerHTML = answer.review;
  root.querySelector("[data-sum]").innerHTML = answer.sum;
  root.querySelector("[data-sweep-form]").setAttribute("data-link", answer.link);
  const text = root.querySelector("[data-text]");
  if (text) mark(text, answer.problems.length > 0);
  showProblems(root, answer.problems);
}

function showField(field, said) {
  field.toggleAttribute("data-off", said.off);
  if (!field.matches(".field-axes")) {
    field.classList.toggle("has-problem", said.problem !== "");
    field.querySelectorAll("input, select").forEach((input) => mark(input, said.problem !== ""));
  }
  say(ownPart(field, "[data-problem]"), said.problem);
  say(ownPart(field, "[data-note]"), said.note);
  const picture = ownPart(field, "[data-picture]");
  if (!picture) return;
  picture.classList.toggle("outdated", said.picture === "");
  if (said.picture !== "" && picture.innerHTML.trim() !== said.picture.trim()) picture.innerHTML = said.picture;
}

// The axes of a class are fields within a field.
function ownPart(field, selector) {
  return [...field.querySelectorAll(selector)].find((part) => part.closest("[data-field]") === field);
}

function mark(input, wrong) {
  if (wrong) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function linkTo(problem) {
  return element("a", { href: `#${problem.target}`, "data-line": problem.line || null }, problem.title);
}

function showProblems(root, problems) {
  const said = root.querySelector("[data-said]");
  const before = said.textContent;
  const many = problems.length === 1 ? "1 thing to fix" : `${problems.length} things to fix`;
  const first = problems.find((problem) => problem.target);
  const text = problems.length === 0 ? "" : first ? `${many}: ${first.title}` : many;
  if (text !== before) {
    said.replaceChildren(...(first ? [`${many}: `, linkTo(first)] : [text]));
  }
  // The list at the top is what the server said when the button was pressed; it shrinks, and does not come by itself,
  // for it would move the page under the hands of whoever types. In a text there is no other place for it.
  const box = root.querySelector("[data-problems]");
  if (box.hidden && !root.querySelector("[data-text]")) return;
  box.hidden = problems.length === 0;
  box.removeAttribute("role");
  root.querySelector("[data-problems-title]").textContent = problems.length === 1 ? "One thing to fix" : many;
  root.querySelector("[data-problems-list]").replaceChildren(...problems.map((problem) => element(
    "li", {},
    problem.target ? linkTo(problem) : problem.title,
    `${problem.line ? `, line ${problem.line}` : ""}: ${problem.message}`,
  )));
}
