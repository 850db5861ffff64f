/**
 * The icons of the page: our own drawings, strokes on a 24 by 24 grid, in the colour of the surrounding text.
 */

const PATHS = {
  again: "M19.5 12a7.5 7.5 0 1 1-2.4-5.5M19.5 3.5v4h-4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  down: "M12 5v13M6.5 12.5L12 18l5.5-5.5",
  edit: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM14 7l3 3",
  lock: "M6.5 11h11v8.5h-11zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  menu: "M4 7h16M4 12h16M4 17h10",
  play: "M8 5.5v13l10.5-6.5z",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5.5M6 11l6-6 6 6",
  share: "M5 12h13M13.5 7l5-3M13.5 17l5 3M7 12a2 2 0 1 1-4 0 2 2 0 0 1 4 0",
  sliders: "M4 8h9M18 8h2M4 16h2M11 16h9M17.5 8a2 2 0 1 1-4 0 2 2 0 0 1 4 0M10.5 16a2 2 0 1 1-4 0 2 2 0 0 1 4 0",
  stop: "M7.5 7.5h9v9h-9z",
  tool: "M14.5 6.5a4 4 0 0 1 5-1l-2.6 2.6 1.9 1.9 2.6-2.6a4.2 4.2 0 0 1-5.6 5l-7 7a2 2 0 0 1-2.9-2.9l7-7a4 4 0 0 1 1.6-3",
  trash: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5",
  wrap: "M4 6h16M4 18h6M4 12h13.5a3 3 0 0 1 0 6H14M16.5 15.5L14 18l2.5 2.5",
};
const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  svg.append(path);
  return svg;
}

/** Inserts the icon named by `data-icon` at the start of each element that has this attribute. */
export function drawIcons(root = document) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-icon]"))) element.prepend(icon(element.dataset.icon));
}
