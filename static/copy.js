// Lines to copy are copied; where a page may not write to the clipboard (plain HTTP), they are selected instead.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  const told = (text) => { button.textContent = text; setTimeout(() => { button.textContent = "Copy"; }, 2500); };
  try {
    await navigator.clipboard.writeText(code.textContent);
    told("Copied");
  } catch {
    getSelection().selectAllChildren(code);
    code.parentElement.focus();
    told("Selected: press Ctrl-C");
  }
});
document.documentElement.classList.add("copies");
