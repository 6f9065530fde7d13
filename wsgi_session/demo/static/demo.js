// The one button that needs a script: ten requests at once, then the page's own account of them.
"use strict";

const REQUESTS = 10;
const token = document.querySelector('meta[name="csrf-token"]').content;
const button = document.getElementById("race-button");
const result = document.getElementById("race-result");

button.hidden = false;
button.addEventListener("click", race);

async function race() {
  button.disabled = true;
  result.textContent = "Racing…";
  try {
    await post("/race/start");
    const answers = await Promise.allSettled(Array.from({ length: REQUESTS }, () => post("/race")));
    const sent = answers.filter((answer) => answer.status === "fulfilled").length;
    await show(sent);
  } catch (error) {
    result.textContent = `It could not be run: ${error.message}. Reload the page, and try again.`;
  } finally {
    button.disabled = false;
  }
}

async function post(path) {
  const answer = await fetch(path, { method: "POST", headers: { "X-CSRF-Token": token } });
  if (!answer.ok) {
    throw new Error(`the server answered ${answer.status}`);
  }
}

async function show(sent) {
  const answer = await fetch("/");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const account = page.getElementById("race-result");
  const { counted, listed } = account.dataset;
  const lost = Math.max(sent - counted, sent - listed);
  account.querySelector(".headline").textContent = `${sent} sent, ${counted} counted, ${lost || "none"} lost`;
  result.replaceChildren(...account.childNodes);
  document.getElementById("cookie").replaceWith(page.getElementById("cookie"));
}
