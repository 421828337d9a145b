// Light or dark, set before anything is drawn: the choice kept in this browser, else what the system prefers.
(function () {
  var kept = null;
  try { kept = localStorage.getItem("nhop-theme"); } catch (error) { /* storage is blocked: follow the system */ }
  var dark = matchMedia("(prefers-color-scheme: dark)");
  function apply() {
    document.documentElement.dataset.bsTheme = kept || (dark.matches ? "dark" : "light");
  }
  apply();
  dark.addEventListener("change", apply);
  window.nhopToggleTheme = function () {
    kept = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem("nhop-theme", kept); } catch (error) { /* then for this page only */ }
    apply();
    document.dispatchEvent(new Event("nhop:theme"));
  };
  dark.addEventListener("change", function () { document.dispatchEvent(new Event("nhop:theme")); });
})();
