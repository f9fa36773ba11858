// Copy buttons, and a trail that keeps up. Without JavaScript there are no buttons, text can be
// selected as ever, and the trail is as it was when the page was loaded.
const said = document.getElementById("said");

for (const button of document.querySelectorAll(".copy")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy"); // some of them come later
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent.trimEnd());
    say(button, "Copied");
  } catch {
    getSelection().selectAllChildren(code);
    say(button, "Selected");
  }
});

function say(button, text) {
  button.textContent = text;
  said.textContent = text;
  button.classList.add("done");
  setTimeout(() => {
    button.textContent = "Copy";
    said.textContent = "";
    button.classList.remove("done");
  }, 1500);
}

const events = document.getElementById("events");

async function keepUp() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch("/events");
      const text = await answer.text();
      if (answer.ok && text.trim() !== events.innerHTML.trim()) {
        events.innerHTML = text; // our own server's words, escaped by its templates
      }
    } catch {
      // The server has stopped; it may come back.
    }
  }
  setTimeout(keepUp, 1500);
}

setTimeout(keepUp, 1500);
