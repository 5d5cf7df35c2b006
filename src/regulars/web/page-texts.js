// The texts that the list of customers does not show. The server moves them from texts.js to this file, which the other
// pages load (http/page_texts.py).

import { t } from "./texts.js";

export const pageTexts = t;
