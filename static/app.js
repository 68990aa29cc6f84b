// Says whether what is shown is current, and rests while nobody looks.
(() => {
  const say = (name) => {
    for (const one of document.querySelectorAll("[data-link]")) {
      const hidden = one.dataset.link !== name;
      if (one.hidden !== hidden) one.hidden = hidden;
    }
  };

  document.addEventListener("htmx:config:request", (event) => {
    if (document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:after:request", (event) => {
    const status = event.detail.ctx.response.status;
    say(status < 400 ? "live" : status === 503 ? "queue" : "web");
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx && !event.detail.ctx.response) say("web");
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) htmx.trigger("#poll", "every");
  });
})();
