// Begins.

import { onSignedOut } from "./api.js";
import { complain } from "./ui.js";
import { route, showNavigation, signInAgain } from "./shell.js";

onSignedOut(signInAgain);
document.querySelector("#progress").classList.remove("on");
route();
if (location.pathname !== "/sign-in") showNavigation().catch(complain);
