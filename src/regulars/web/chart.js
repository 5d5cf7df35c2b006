// Charts as SVG; each has its values in a table, too.

import { h, replace, setAttribute, svg, uniqueId } from "./dom.js";
import { t } from "./texts.js";
import { headingRow, tableBox } from "./ui.js";

const HEIGHT = 180;
const BOTTOM = 22;
const LEFT = 52;
const TOP = 10;
const LABEL_WIDTH = 85;

/**
 * A bar chart with its caption, and a table of the same rows that the person can open. A row has a
 * `label` (`full` in the table), a `value`, the value as text in `shown`, and a `title`, the tooltip.
 * `tick` formats the values of the lines behind the bars.
 */
export function barChart(caption, rows, { headings, tick }) {
  const captionId = uniqueId("caption");
  const picture = svg("svg", { role: "img", "aria-labelledby": captionId });
  // Drawn again for each width, so that the labels keep their size.
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.round(contentRect.width);
    if (!width) return;
    setAttribute(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    replace(picture, drawBars(rows, width, tick));
  }).observe(picture);
  return figure(caption, captionId, picture, rows, headings);
}

/** A small bar chart without labels, with its caption and its table, as `barChart` has them. */
export function sparkline(caption, rows, headings) {
  const captionId = uniqueId("caption");
  const maximum = Math.max(...rows.map((row) => row.value), 0) || 1;
  const bars = rows.map(({ value, title }, index) => {
    const height = Math.max((38 * Math.max(value, 0)) / maximum, 1);
    const box = { x: index * 10 + 1, y: 40 - height, width: 8, height };
    return svg("rect", box, svg("title", null, title));
  });
  const viewBox = `0 0 ${rows.length * 10} 40`;
  const picture = svg("svg", { role: "img", "aria-labelledby": captionId, viewBox, preserveAspectRatio: "none" }, bars);
  const element = figure(caption, captionId, picture, rows, headings);
  element.classList.add("spark");
  return element;
}

function figure(caption, captionId, picture, rows, headings) {
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", { id: captionId }, caption),
    picture,
    h(
      "details",
      null,
      h("summary", null, t.chart.table),
      tableBox(
        { "aria-label": caption },
        null,
        headingRow(headings),
        h(
          "tbody",
          null,
          rows.map((row) => h("tr", null, h("th", { scope: "row" }, row.full ?? row.label), h("td", null, row.shown))),
        ),
      ),
    ),
  );
}

/** The parts of a bar chart that is `width` pixels wide. It begins where lines of text begin. */
function drawBars(rows, width, tick) {
  const place = (x, size = 0) => (document.dir === "rtl" ? width - x - size : x);
  const maximum = roundUp(Math.max(...rows.map((row) => row.value), 0));
  const step = (width - LEFT) / Math.max(rows.length, 1);
  const baseline = HEIGHT - BOTTOM;
  const barHeight = (value) => ((baseline - TOP) * Math.max(value, 0)) / maximum;
  const labelInterval = Math.ceil((rows.length * LABEL_WIDTH) / width);
  const lines = [0, maximum / 2, maximum].map((value) => {
    const y = baseline - barHeight(value);
    return [
      svg("line", { class: "grid", x1: place(LEFT), x2: place(width), y1: y, y2: y }),
      svg("text", { class: "tick", x: place(LEFT - 8), y: y + 4, "text-anchor": "end" }, tick(value)),
    ];
  });
  const bars = rows.map((row, index) => {
    const x = LEFT + index * step;
    const height = barHeight(row.value);
    return svg(
      "g",
      { class: "bar" },
      svg("title", null, row.title),
      svg("rect", { class: "hover", x: place(x, step), y: TOP, width: step, height: baseline - TOP }),
      svg("rect", {
        x: place(x + step * 0.15, step * 0.7),
        y: baseline - height,
        width: step * 0.7,
        height,
        rx: Math.min(3, step * 0.2),
      }),
    );
  });
  const labels = rows.map((row, index) =>
    index % labelInterval
      ? null
      : svg(
          "text",
          { class: "tick", x: place(LEFT + (index + 0.5) * step), y: HEIGHT - 6, "text-anchor": "middle" },
          row.label,
        ),
  );
  return [lines, bars, labels];
}

/**
 * A table with a bar in each row. A row has a `label`, a `value`, and the value as text in `shown`;
 * a row whose value is null has no bar. A bar of full length is the `maximum`: by default the largest value.
 */
export function shareTable(caption, rows, headings, maximum = Math.max(...rows.map((row) => row.value ?? 0), 1)) {
  return h(
    "table",
    { class: "shares", "aria-label": caption },
    h("thead", { class: "unseen" }, headingRow(headings, h("td"))),
    h(
      "tbody",
      null,
      rows.map((row) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, row.label),
          h("td", null, row.shown),
          h(
            "td",
            { class: "share", "aria-hidden": "true" },
            row.value === null
              ? null
              : svg(
                  "svg",
                  { viewBox: "0 0 100 8", preserveAspectRatio: "none" },
                  svg("rect", { width: (100 * row.value) / maximum, height: 8, rx: 1 }),
                ),
          ),
        ),
      ),
    ),
  );
}

/** Rounds a value up to 1, 2, 2.5, 4, 5, 8 or 10 times a power of ten. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 4, 5, 8, 10].map((factor) => factor * power).find((limit) => limit >= value);
}
