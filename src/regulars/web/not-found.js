// The page for a URL without a page.

import { t } from "./texts.js";
import { showMissing } from "./ui.js";

export function show(page) {
  showMissing(page, "search", t.missing.title, t.missing.text, "/customers", t.missing.toCustomers);
}
