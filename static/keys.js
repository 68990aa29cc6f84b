// Keys, of which _keys.html tells people. What they do is done with the focus itself, so that it is seen and read out.
(() => {
  const TYPED = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
  const PAGES = { o: "/", j: "/jobs", w: "/workers", q: "/queues", s: "/submit", a: "/activity" };
  let goes = false, last = null; // whether g was the last key; where the focus was last in a list

  const link = (row) => row.querySelector("a.id, th a");
  const rows = () => [...document.querySelectorAll("main tbody tr")].filter(link);
  const here = (all) => all.findIndex((row) => row.contains(document.activeElement));

  // The next row; from elsewhere the row where one was, or what stands in its place.
  const move = (step) => {
    const all = rows(), at = here(all), known = all.findIndex((row) => row.id === last?.id);
    const to = at >= 0 ? at + step : known >= 0 ? known : last?.at ?? 0;
    const row = all[Math.max(0, Math.min(to, all.length - 1))];
    if (row) link(row).focus();
  };
  const pick = () => {
    const all = rows(), box = all[here(all)]?.querySelector("input[name=id]");
    if (!box) return;
    box.focus();
    box.click();
  };
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: pick,
    "/": () => document.querySelector("main input[type=search]")?.focus(),
    "?": () => document.getElementById("shortcuts")?.showModal(),
  };

  document.addEventListener("focusin", () => {
    const all = rows(), at = here(all);
    if (at >= 0) last = { id: all[at].id, at };
  });
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || target.closest(TYPED)) return;
    if (document.querySelector("dialog[open]")) return;
    const place = goes && document.querySelector(`nav.pages a[href$="${PAGES[key]}"]`);
    goes = key === "g";
    const row = target.matches("tr input[name=id]") && target.closest("tr");
    const act = place ? () => place.click() : key === "Enter" ? row && (() => link(row).click()) : keys[key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
