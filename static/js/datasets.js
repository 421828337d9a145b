// The list of data sets: a file that is too large is told before it is sent, and the button says that it is sent.
const form = document.querySelector("[data-upload-form]");

if (form) {
  const file = form.elements.file;
  const problem = form.querySelector("[data-file-problem]");
  const button = form.querySelector("[data-submit]");

  const check = () => {
    const most = Number(file.dataset.most);
    const tooLarge = file.files[0]?.size > most * 2 ** 20;
    problem.textContent = tooLarge ? `The file is larger than ${most} MB, the most that this server takes.` : "";
    problem.hidden = !tooLarge;
    file.toggleAttribute("aria-invalid", tooLarge);
    problem.closest(".field").classList.toggle("has-problem", tooLarge);
    return !tooLarge;
  };
  file.addEventListener("change", check);

  form.addEventListener("submit", (event) => {
    if (!check()) {
      event.preventDefault();
      file.focus();
      return;
    }
    button.disabled = true;
    button.textContent = "Uploading and checking…";
  });
  addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = "Upload";
  });
}
