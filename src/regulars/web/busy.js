// What is told while one waits, and to who cannot see it.

import { t } from "./texts.js";

/** Tells a screen reader something, politely; at once, if it is urgent. */
export function announce(text, urgent = false) {
  const place = document.querySelector(urgent ? "#alert" : "#status");
  // The same text again is news, too.
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

let waiting = 0;
const bar = document.querySelector("#progress");

/** Shows that something is waited for, once it takes longer than a moment. Answers what ends it. */
export function busy() {
  waiting += 1;
  bar.classList.add("on");
  const told = setTimeout(() => announce(t.loading), 1000);
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    clearTimeout(told);
    waiting -= 1;
    if (!waiting) bar.classList.remove("on");
  };
}
