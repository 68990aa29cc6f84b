// Small things for every page.
(() => {
  // How long ago something was.
  const ago = (seconds) => seconds < 2 ? "now" : seconds < 60 ? `${Math.floor(seconds)} s ago`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago`
    : seconds < 172800 ? "1 day ago" : `${Math.floor(seconds / 86400)} days ago`;
  const tell = () => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tell, 5000);
})();
