// Icons: a few strokes each, in the colour of the text around them.

import { svg } from "./dom.js";

const PATHS = {
  add: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  columns: "M4 5h16v14H4zM10 5v14M15 5v14",
  comment: "M4 5h16v11H10l-5 4v-4H4z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  customers:
    "M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c.6-3.5 3-5.5 6.5-5.5s5.9 2 6.5 5.5M16 4.3a3.5 3.5 0 010 6.4M18 14.9c2 .8 3.2 2.6 3.5 5.1",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  down: "M6 9l6 6 6-6",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  forward: "M9 5l7 7-7 7",
  history: "M4 12a8 8 0 108-8c-3 0-5.5 1.5-7 4M4 4v4h4M12 8v4.5l3 2",
  key: "M14.5 9.5a4 4 0 10-4 4l1-.2L13 15h2v2h2v2h3v-3l-6.2-6.2z",
  language: "M12 3a9 9 0 100 18 9 9 0 000-18zM3 12h18M12 3c5 5 5 13 0 18M12 3c-5 5-5 13 0 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  overview: "M4 20V11M10 20V5M16 20v-7M21 20H3",
  pause: "M8 5v14M16 5v14",
  pin: "M9 4h6l-1 6 3 4H7l3-4zM12 14v6",
  print: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z",
  search: "M10.5 17a6.5 6.5 0 100-13 6.5 6.5 0 000 13zM15.5 15.5L21 21",
  segment: "M4 5h16l-6 7v7l-4-2v-5z",
  send: "M4 12l16-8-6 16-3-6.5z",
  sign_out: "M10 5H5v14h5M14 8l4 4-4 4M18 12H9",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  up: "M6 15l6-6 6 6",
  upload: "M12 16V5M7 9.5l5-5 5 5M5 20h14",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.3v.2",
  watch: "M2.5 12c5-8.5 14-8.5 19 0-5 8.5-14 8.5-19 0zM12 14.5a2.5 2.5 0 100-5 2.5 2.5 0 000 5z",
  webhook: "M9 12a3 3 0 106 0 3 3 0 00-6 0zM12 9V4M14.6 13.5l4.4 2.5M9.4 13.5L5 16",
};

// Icons with a direction, which is the other one in a language from right to left.
const DIRECTED = new Set(["back", "forward", "send", "sign_out"]);

/** An icon. It is hidden from screen readers, because a label is next to it. */
export function icon(name) {
  return svg(
    "svg",
    {
      class: DIRECTED.has(name) ? "icon directed" : "icon",
      viewBox: "0 0 24 24",
      "aria-hidden": true,
      focusable: "false",
    },
    svg("path", { d: PATHS[name] }),
  );
}
