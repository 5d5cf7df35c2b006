// Begins.

import { onSignedOut } from "./api.js";
import { t } from "./texts.js";
import { complain } from "./ui.js";
import { route, showNavigation, signInAgain } from "./shell.js";

onSignedOut(signInAgain);
document.querySelector("#progress").classList.remove("on");
document.querySelector(".skip").textContent = t.skip;
document.querySelector("#toasts").setAttribute("aria-label", t.messages);
history.scrollRestoration = "manual";
route();
if (location.pathname !== "/sign-in") showNavigation().catch(complain);
