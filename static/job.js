// The log follows its end until somebody scrolls up, and does not grow without bound.
(() => {
  const MOST = 2000; // nodes of the log that are kept
  const log = document.getElementById("log"), pane = log && log.parentElement;

  if (!pane) return;

  const follow = document.getElementById("follow");
  let follows = true, last = 0; // the place that was looked at last
  const set = (on) => {
    follows = on;
    follow.setAttribute("aria-pressed", on);
    follow.textContent = on ? "Following" : "Paused: follow";
    if (on) toEnd();
  };
  const toEnd = () => { pane.scrollTop = pane.scrollHeight; last = pane.scrollTop; };
  const atEnd = () => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 4;
  const wentUp = () => pane.scrollTop < last - 1 && !atEnd(); // only a reader does that

  const tend = () => {
    if (follows && wentUp()) set(false);
    for (const over of log.querySelectorAll(".over")) {
      const before = over.previousElementSibling;
      if (before && !before.textContent.endsWith("\n")) before.remove();
      over.classList.remove("over");
    }
    const height = pane.scrollHeight;
    for (let more = log.childNodes.length - MOST; more > 0; more--) log.firstChild.remove();
    if (follows) toEnd();
    else pane.scrollTop -= height - pane.scrollHeight; // what is read stays where it is
  };
  let waits = false;
  new MutationObserver(() => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; tend(); });
  }).observe(log, { childList: true });

  document.getElementById("following").hidden = false;
  follow.addEventListener("click", () => set(!follows));
  document.getElementById("to-end").addEventListener("click", () => set(true));
  pane.addEventListener("scroll", () => {
    if (follows ? wentUp() : atEnd()) set(!follows);
    last = pane.scrollTop;
  }, { passive: true });
  tend();
})();
