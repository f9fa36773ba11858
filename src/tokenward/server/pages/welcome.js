// The copy buttons. Without JavaScript there are none, and the text can be selected as ever.
const said = document.getElementById("said");

for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      say(button, "Copied");
    } catch {
      getSelection().selectAllChildren(code);
      say(button, "Selected");
    }
  });
}

function say(button, text) {
  button.textContent = text;
  said.textContent = text;
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}
