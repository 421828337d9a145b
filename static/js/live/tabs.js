// The tabs of the live page: which one is shown stands in the address, after the #.
import { tell } from "./bus.js";

const tabs = [...document.querySelectorAll("[data-bs-toggle='tab']")];
const named = (name) => tabs.find((tab) => tab.dataset.name === name);

export function show(name) {
  const tab = named(name);
  if (tab) bootstrap.Tab.getOrCreateInstance(tab).show();
}

const fromAddress = () => show(location.hash.slice(1) || tabs[0]?.dataset.name);

for (const tab of tabs) {
  tab.addEventListener("shown.bs.tab", () => {
    const { name } = tab.dataset;
    if (location.hash.slice(1) !== name) history.replaceState(null, "", tab === tabs[0] ? location.pathname : `#${name}`);
    tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    tell("shown", name);
  });
}
addEventListener("hashchange", fromAddress);

export const openFromAddress = fromAddress;
