// Keeps the page current: one stream, polls where none passes, rest while nobody looks. And says which of these it is.
(() => {
  const one = (id) => document.getElementById(id);
  const CONNECT = 5000, QUIET = 25000; // ms without a stream, without a word from it
  let link = "", heard = 0, since = Date.now();

  const say = (name) => {
    if (link === name) return;
    link = name;
    for (const part of document.querySelectorAll("[data-link]")) part.hidden = part.dataset.link !== name;
  };
  const streams = () => link === "live" || (link === "queue" && heard > 0);
  const alive = () => { heard = Date.now(); };
  const lost = () => { heard = 0; since = Date.now(); };

  document.addEventListener("htmx:config:request", (event) => {
    const source = event.target.id;
    const rests = document.hidden && (source === "poll" || source === "live");
    if (rests || (source === "poll" && (streams() || Date.now() - since < CONNECT))) event.preventDefault();
  });
  document.addEventListener("htmx:after:request", (event) => {
    if (event.target.id !== "poll" || streams()) return;
    const status = event.detail.ctx.response.status;
    say(status < 400 ? "poll" : status === 503 ? "queue" : "web");
  });
  document.addEventListener("htmx:error", (event) => {
    if (event.target.id === "poll" && !streams()) say("web");
  });

  document.addEventListener("htmx:sse:after:connection", () => { alive(); say("live"); });
  document.addEventListener("htmx:sse:before:message", alive);
  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) signIn();
    lost();
    say(event.detail.status === 503 ? "queue" : "web");
  });
  document.addEventListener("htmx:sse:close", lost);
  document.addEventListener("queue", (event) => say(event.detail.data === "away" ? "queue" : "live"));
  document.addEventListener("logout", () => signIn());

  // Nothing is asked for any more. The page that signs out is led on by the answer to that.
  let leaves = false;
  document.addEventListener("submit", (event) => { leaves ||= event.target.matches("form[action$='/logout']"); });
  const signIn = () => {
    one("live")?.remove();
    if (!leaves) location.reload();
  };

  const tend = () => {
    if (document.hidden || !one("live")) return;
    const stream = one("live")._htmx?.sse;
    if (stream && heard && Date.now() - heard > QUIET) { lost(); say("web"); stream.reader?.cancel(); }
    if (!stream && Date.now() - since > CONNECT) { since = Date.now() - CONNECT; htmx.trigger("#live", "again"); }
  };
  setInterval(tend, 3000);
  document.addEventListener("visibilitychange", tend);
})();
