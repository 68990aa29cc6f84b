// A click on a root writes it into the command, where the cursor is.
document.addEventListener("click", (event) => {
  const root = event.target.closest("[data-insert]");
  const command = document.querySelector("#submit textarea");
  if (!root || !command) return;
  command.setRangeText(root.dataset.insert, command.selectionStart, command.selectionEnd, "end");
  command.focus();
  command.dispatchEvent(new Event("input", { bubbles: true }));
});
