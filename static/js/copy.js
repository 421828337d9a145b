// Buttons that copy the text of an element: data-copy is its id.
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));

async function copy(button) {
  const shown = document.getElementById(button.dataset.copy);
  getSelection().selectAllChildren(shown);
  try {
    await navigator.clipboard.writeText(shown.textContent);
    tell(button, "Copied");
  } catch { // not on an address without TLS: it is selected, and can be copied by hand
    tell(button, "Selected");
  }
}

function tell(button, what) {
  button.removeAttribute("aria-label"); // its name is now what it says
  button.textContent = what;
}
