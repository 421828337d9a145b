// The live page: links to the best trial's model, shown once the model is kept.
const links = document.querySelector("[data-model-links]");
const best = document.querySelector("[data-best-trial]");
const TRIES = 5;
const WAIT_MS = 2000;

let shown = 0;

async function show(number, kept) {
  shown = number;
  links.hidden = true;
  if (!number) return;
  for (const link of links.querySelectorAll("a")) {
    link.setAttribute("href", link.getAttribute("href").replace(/\/trials\/\d+\//, `/trials/${number}/`));
  }
  for (let tries = 0; tries < TRIES && shown === number; tries += 1) {
    if (tries || !kept) await new Promise((resolve) => setTimeout(resolve, WAIT_MS)); // it is stored a moment after the trial's end
    const answer = await fetch(links.querySelector("a").href, { method: "HEAD" }).catch(() => null);
    if (answer?.ok && shown === number) {
      links.hidden = false;
      return;
    }
  }
}

const number = () => Number(best.textContent.match(/\d+/)?.[0] ?? 0);

new MutationObserver(() => {
  if (number() !== shown) show(number(), false);
}).observe(best, { childList: true, characterData: true, subtree: true });
show(number(), true);
