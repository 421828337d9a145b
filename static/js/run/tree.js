// A configuration as a tree: searched, and cut down to what differs.
export function watchTrees(root) {
  for (const box of root.querySelectorAll("[data-tree]")) watch(box);
}

function watch(box) {
  const search = box.querySelector("[data-tree-search]");
  const only = box.querySelector("[data-tree-differs]");
  const none = box.querySelector("[data-tree-none]");
  const leaves = [...box.querySelectorAll("[data-leaf]")];
  const branches = [...box.querySelectorAll("[data-branch]")].reverse();
  const wasOpen = new Map(branches.map((branch) => [branch, branch.querySelector("details").open]));
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isOff = !words.length && !only?.checked;
    let found = 0;
    for (const leaf of leaves) {
      const text = `${leaf.dataset.leaf} ${leaf.textContent}`.toLowerCase();
      leaf.hidden = !words.every((word) => text.includes(word)) || (Boolean(only?.checked) && !("differs" in leaf.dataset));
      found += leaf.hidden ? 0 : 1;
    }
    for (const branch of branches) {
      branch.hidden = !branch.querySelector("[data-leaf]:not([hidden])");
      branch.querySelector("details").open = isOff ? wasOpen.get(branch) : !branch.hidden;
    }
    none.hidden = found > 0;
  };
  search?.addEventListener("input", filter);
  only?.addEventListener("change", filter);
}
