// The entry point: connects the modules, and shows the first page.

import { onSignedOut } from "./api.js";
import { startNavigation } from "./navigation.js";
import { markLink, setRoutes, showNavigationBar } from "./navigation-bar.js";
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
