// Figures of the last five minutes: a number to read and a line to look at.
import { html, useEffect, useRef } from "./view.js";
import uPlot from "./vendor/uplot.js";
import { bytes, clock, short } from "./words.js";
import { SAMPLES } from "./watch.js";

const HEIGHT = 84;
/** Steps between the lines of a plot: round ones, in tens or in twos. */
const STEPS = Array.from({ length: 36 }, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3));
const BYTE_STEPS = Array.from({ length: 40 }, (_, at) => 2 ** (at + 10));

const FIGURES = [
  { key: "published", title: "Messages", unit: "taken per second", show: short },
  { key: "delivered", title: "Deliveries", unit: "written per second", show: short },
  { key: "lag", title: "Lag", unit: "entries, slowest member here", show: short },
  { key: "memory", title: "Memory", unit: "of the broker", show: bytes },
];

/** A colour of the page's as the canvas wants it: it changes with the light. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width, { show, key }) {
  const font = "11px Inter, system-ui, sans-serif";
  const grid = { stroke: () => colour("--line"), width: 1 };
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 8, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_, least, most) => [Math.min(least, most - 60), most] },
      // From nothing up, so that a quiet line lies at the bottom.
      y: { range: (_, least, most) => [0, Math.max(most * 1.15, key === "memory" ? 1024 : 4)] },
    },
    axes: [
      { show: false },
      { size: 52, font, incrs: key === "memory" ? BYTE_STEPS : STEPS, stroke: () => colour("--soft"), grid, ticks: { show: false }, space: 28, gap: 4,
        values: (_, values) => values.map((value) => show(value)) },
    ],
    series: [
      {},
      { stroke: () => colour("--accent"), fill: () => colour("--accent-veil"), width: 1.5, points: { show: false }, spanGaps: false },
    ],
  };
}

/** The plot itself, which lives as long as its place on the page. */
function usePlot(place, figure, samples, shown) {
  const plot = useRef(null);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => plot.current?.redraw(false);
    const setting = options(place.current.clientWidth, figure);
    setting.hooks = { setCursor: [({ cursor, data }) => {
      const { idx } = cursor;
      const value = idx === null || idx === undefined ? null : data[1][idx];
      shown.current.textContent = value === null ? "" : `${figure.show(value)} at ${clock(data[0][idx] * 1000)}`;
    }] };
    plot.current = new uPlot(setting, [[], []], place.current);
    const sizes = new ResizeObserver(([{ contentRect }]) => plot.current.setSize({ width: contentRect.width, height: HEIGHT }));
    sizes.observe(place.current);
    dark.addEventListener("change", redraw);
    return () => {
      sizes.disconnect();
      dark.removeEventListener("change", redraw);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => {
    plot.current.setData([samples.map(({ at }) => at), samples.map((sample) => sample[figure.key])]);
  }, [samples]);
}

function Figure({ figure, samples }) {
  const place = useRef(null);
  const shown = useRef(null);
  usePlot(place, figure, samples, shown);
  const value = samples.at(-1)?.[figure.key] ?? null;
  const most = samples.reduce((high, sample) => Math.max(high, sample[figure.key] ?? 0), 0);
  const now = value === null ? "–" : figure.show(value);
  return html`<figure class="figure">
    <figcaption><b>${figure.title}</b> <span class="faint">${figure.unit}</span></figcaption>
    <p class="value">${now}<span class="at" ref=${shown}></span></p>
    <div class="plot" ref=${place} role="img" aria-label=${`${figure.title}, ${figure.unit}: ${now} now, at most ${figure.show(most)} in the last ${SAMPLES / 60} minutes`}></div>
  </figure>`;
}

export function Plots({ watch }) {
  return html`<section class="sheet plots" aria-label="Figures">
    ${FIGURES.map((figure) => html`<${Figure} key=${figure.key} figure=${figure} samples=${watch.samples} />`)}
  </section>`;
}
