// The progress bar, and announcements to screen readers.

import { t } from "./texts.js";

const ANNOUNCED_AFTER_MS = 1000;
const bar = document.querySelector("#progress");
let pendingCount = 0;

/** Announces a text to screen readers; an urgent one interrupts them. */
export function announce(text, isUrgent = false) {
  const region = document.querySelector(isUrgent ? "#alert" : "#status");
  // A repeated text is announced only if it was cleared before.
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, 50);
}

/** Shows the progress bar. Returns the function that ends it. */
export function startProgress() {
  pendingCount += 1;
  bar.classList.add("on");
  const timer = setTimeout(() => announce(t.loading), ANNOUNCED_AFTER_MS);
  let hasEnded = false;
  return () => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(timer);
    pendingCount -= 1;
    if (pendingCount) return;
    bar.classList.remove("on");
    const status = document.querySelector("#status");
    if (status.textContent === t.loading) status.textContent = "";
  };
}
