// Pictures of numbers, drawn as SVG; each is a table, too.

import { h, svg, uniqueId } from "./dom.js";
import { t } from "./texts.js";

const HEIGHT = 180;
const FOOT = 22;
const LEFT = 52;
const HEAD = 10;

/**
 * Bars, one for each row of a label, a value and its `title`: a figure with its caption, and the
 * same as a table, to be opened. `tick` formats the values of the lines behind the bars.
 */
export function barChart(caption, rows, { headings, tick, title = (row) => row.title }) {
  // Its texts are as large as others: on a narrow screen it is a narrower picture, not a smaller one.
  const width = window.innerWidth < 700 ? 330 : 640;
  const top = scale(Math.max(...rows.map((row) => row.value), 0));
  const step = (width - LEFT) / Math.max(rows.length, 1);
  const high = (value) => ((HEIGHT - FOOT - HEAD) * Math.max(value, 0)) / top;
  const every = Math.ceil((rows.length * 85) / width);
  const label = uniqueId("caption");
  const lines = [0, 0.5, 1].map((part) => {
    const y = HEIGHT - FOOT - high(part * top);
    return [
      svg("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }),
      svg("text", { class: "tick", x: LEFT - 8, y: y + 4, "text-anchor": "end" }, tick(part * top)),
    ];
  });
  const drawn = rows.map((row, place) => {
    const x = LEFT + place * step + step * 0.15;
    return svg("g", { class: "bar" },
      svg("title", null, title(row)),
      svg("rect", { class: "hover", x: LEFT + place * step, y: HEAD, width: step, height: HEIGHT - FOOT - HEAD }),
      svg("rect", { x, y: HEIGHT - FOOT - high(row.value), width: step * 0.7, height: high(row.value), rx: Math.min(3, step * 0.2) }));
  });
  const names = rows.map((row, place) => (place % every ? null
    : svg("text", { class: "tick", x: LEFT + (place + 0.5) * step, y: HEIGHT - 6, "text-anchor": "middle" }, row.label)));
  return h("figure", { class: "chart" },
    h("figcaption", { id: label }, caption),
    svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-labelledby": label }, lines, drawn, names),
    asTable(caption, headings, rows.map((row) => [row.full ?? row.label, row.shown])));
}

/** A table that is opened when somebody wants it. */
function asTable(caption, headings, rows) {
  return h("details", null,
    h("summary", null, t.chart.table),
    h("div", { class: "table-wrap", tabindex: "0", role: "group", "aria-label": caption },
      h("table", null,
        h("thead", null, h("tr", null, headings.map((one) => h("th", { scope: "col" }, one)))),
        h("tbody", null, rows.map(([first, ...others]) => h("tr", null, h("th", { scope: "row" }, first), others.map((one) => h("td", null, one))))))));
}

/** A table whose rows have a bar each: of a label, a value and its text; a `rest` is no measure. */
export function shareTable(caption, rows, headings) {
  const top = Math.max(...rows.filter((row) => !row.rest).map((row) => row.value), 1);
  return h("table", { class: "shares", "aria-label": caption },
    h("thead", { class: "unseen" }, h("tr", null, headings.map((one) => h("th", { scope: "col" }, one)), h("td"))),
    h("tbody", null, rows.map((row) => h("tr", null,
      h("th", { scope: "row" }, row.label),
      h("td", null, row.shown),
      h("td", { class: "share", "aria-hidden": "true" },
        svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none" }, svg("rect", { width: Math.min(100, (100 * row.value) / top), height: 8, rx: 1 })))))));
}

/** The first of 1, 2, 2.5, 4, 5, 8 and 10 times a power of ten that is as large as the value. */
function scale(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 4, 5, 8, 10].map((one) => one * power).find((one) => one >= value);
}
