// Counts down what is left of the session, and asks the server now and then, which does not prolong it.
"use strict";

const ASK_EVERY_S = 10;
const output = document.getElementById("left");
let left = Number(output.dataset.seconds);
let sinceAsked = 0;

setInterval(tick, 1000);

async function tick() {
  left = Math.max(0, left - 1);
  sinceAsked += 1;
  if (left === 0 || sinceAsked >= ASK_EVERY_S) {
    sinceAsked = 0;
    await ask();
  }
  const minutes = Math.floor(left / 60);
  output.textContent = minutes ? `${minutes} min ${left % 60} s` : `${left} s`;
}

async function ask() {
  try {
    const answer = await fetch("/devices/left");
    left = answer.ok ? Number(await answer.text()) : left;
  } catch {
    return; // the next time
  }
  if (left === 0) {
    location.reload();
  }
}
