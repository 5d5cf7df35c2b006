// The entry point: connects the modules, and shows the first page.

import { onSignedOut } from "./api.js";
import { navigate, startNavigation } from "./navigation.js";
import { markLink, setRoutes, showNavigationBar, shownAccount } from "./navigation-bar.js";
import { findRoute, ROUTES } from "./routes.js";
import { renewSession } from "./sign-in.js";
import { t } from "./texts.js";
import { showError } from "./ui.js";

onSignedOut(renewSession);
setRoutes(ROUTES);
document.querySelector("#progress").classList.remove("on");
document.querySelector(".skip").textContent = t.skip;
document.querySelector("#toasts").setAttribute("aria-label", t.messages);
startNavigation(findRoute, markLink);
if (location.pathname !== "/sign-in") showNavigationBar().catch(showError);
document.addEventListener("keydown", openSearch);

/** Opens the search of customers, from any page, with Ctrl K or Cmd K. */
async function openSearch(event) {
  const isShortcut = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key === "k";
  if (!isShortcut || shownAccount() === null || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (location.pathname !== "/customers") await navigate("/customers");
  const input = /** @type {HTMLInputElement} */ (document.querySelector(".search [name=q]"));
  input?.focus();
  input?.select();
}
