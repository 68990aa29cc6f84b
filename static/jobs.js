// The list of jobs: what is selected, and whether new ones have come.
(() => {
  const one = (id) => document.getElementById(id);
  const picks = () => [...document.querySelectorAll('input[form="bulk"][name="id"]')];
  const PAUSE = 2000; // ms between two questions for new jobs

  const count = () => {
    const all = picks(), chosen = all.filter((pick) => pick.checked).length, whole = one("all-rows");
    if (!whole) return;
    whole.hidden = false;
    whole.checked = chosen > 0 && chosen === all.length;
    whole.indeterminate = chosen > 0 && chosen < all.length;
    one("selected").textContent = chosen ? `${chosen} selected` : "the selected jobs";
  };
  document.addEventListener("change", (event) => {
    if (event.target.id === "all-rows") for (const pick of picks()) pick.checked = event.target.checked;
    if (event.target.name === "id" || event.target.id === "all-rows") count();
  });
  document.addEventListener("htmx:after:swap", count);
  count();

  let asked = 0, waiting = 0, known = one("jobs-last")?.value;
  const ask = () => {
    waiting = 0;
    if (document.hidden || !one("newer")) return;
    asked = Date.now();
    htmx.trigger("#newer", "news");
  };
  const look = () => {
    const last = one("jobs-last")?.value;
    if (last === known) return;
    known = last;
    waiting ||= setTimeout(ask, Math.max(0, asked + PAUSE - Date.now()));
  };
  new MutationObserver(look).observe(one("main"), { subtree: true, childList: true, attributeFilter: ["value"] });
  document.addEventListener("visibilitychange", ask);
})();
