// The log follows its end until somebody scrolls up, and does not grow without bound. Lines to copy are copied.
(() => {
  const MOST = 2000; // nodes of the log that are kept
  const log = document.getElementById("log"), pane = log && log.parentElement;

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      const told = (text) => { button.textContent = text; setTimeout(() => { button.textContent = "Copy"; }, 2500); };
      try {
        await navigator.clipboard.writeText(code.textContent);
        told("Copied");
      } catch { // no clipboard over plain HTTP
        getSelection().selectAllChildren(code);
        code.parentElement.focus();
        told("Selected: press Ctrl-C");
      }
    });
  }
  if (!pane) return;

  const follow = document.getElementById("follow");
  let follows = true, moved = 0;
  const set = (on) => {
    follows = on;
    follow.setAttribute("aria-pressed", on);
    follow.textContent = on ? "Following" : "Paused: follow";
    if (on) toEnd();
  };
  const toEnd = () => { moved = Date.now(); pane.scrollTop = pane.scrollHeight; };
  const atEnd = () => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 4;

  const tend = () => {
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
    if (Date.now() - moved > 100 && follows !== atEnd()) set(atEnd());
  }, { passive: true });
  tend();
})();
