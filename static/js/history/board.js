// While a TensorBoard starts: what it does, and then the page anew, which leads there or says what is wrong.
const card = document.querySelector("[data-board]");
const words = card.querySelector("[data-words]");
const EVERY = 500;

async function look() {
  try {
    const answer = await fetch(card.dataset.board, { headers: { Accept: "application/json" } });
    const state = await answer.json();
    if (!answer.ok || state.ready || state.problem) return location.reload();
    words.textContent = `${state.words[0].toUpperCase()}${state.words.slice(1)}.`;
  } catch {
    // the server is away for a moment
  }
  setTimeout(look, EVERY);
}

if (words) setTimeout(look, EVERY);
