/**
 * A small bar chart of one number per second.
 */

import { say } from "./say.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480;
const HEIGHT = 72;
const WIDEST_BAR = 18;
const MOST_BARS = 240;

/** Draws one bar per number. If there are too many, each bar is the mean of several neighbours. */
export function drawChart(numbers, label) {
  const bars = thin(numbers);
  const highest = Math.max(1, ...bars);
  const step = Math.min(WIDEST_BAR, WIDTH / Math.max(1, bars.length));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", say("run.chart", { label, highest: Math.round(highest), seconds: numbers.length }));
  bars.forEach((number, index) => {
    const height = Math.max(number > 0 ? 1.5 : 0, (number / highest) * (HEIGHT - 2));
    const bar = document.createElementNS(SVG, "rect");
    const box = { x: index * step, y: HEIGHT - height, width: Math.max(1, step - 1.5), height, rx: 1 };
    for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value.toFixed(2));
    svg.append(bar);
  });
  return svg;
}

function thin(numbers) {
  const together = Math.ceil(numbers.length / MOST_BARS) || 1;
  const bars = [];
  for (let from = 0; from < numbers.length; from += together) {
    const part = numbers.slice(from, from + together);
    bars.push(part.reduce((sum, number) => sum + number, 0) / part.length);
  }
  return bars;
}
