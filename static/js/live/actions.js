// The button beside a trial: end one in training, try a failed one again.
import { state } from "./state.js";
import { act } from "./steering.js";
import { element } from "../text.js";

export function action(trial) {
  const { number } = trial;
  const [word, title, path, body, isDone] = trial.state === "RUNNING"
    ? ["End", "Its result is not used; the sweep goes on.", `trials/${number}/end`, undefined, () => state.trials.get(number)?.state !== "RUNNING"]
    : trial.state === "FAILED" && !trial.confirms
      ? ["Retry", "Train its configuration once more.", "retry", { numbers: [number] }, "version"]
      : [];
  if (!word) return null;
  const button = element("button", { type: "button", class: "btn btn-sm btn-quiet", title, "data-does": "act" }, word, element("span", { class: "visually-hidden" }, ` trial ${number}`));
  button.addEventListener("click", () => act(`${word} trial ${number}`, path, { body, isDone, button }));
  return button;
}
