// The map of styles: training images where their styles lie, by the two directions in which styles differ most.
// Choosing an image takes its style; any other place takes the style there, with the other components at their mean.

import { output } from "./outputs.js";
import * as service from "./service.js";
import { $, complain, latest, nameOf, place, state } from "./state.js";
import { isOpen, whenOpened } from "./tabs.js";

const POLL = 400; // milliseconds between looks whether the map is computed
const MARGIN = 0.06; // of each side, beyond the outermost images

const here = { kind: "map", name: "", numbers: [], blob: null }; // the style of the marked place
let map = null; // as the service gives it, and {run, to}
let range = null; // {x: [low, high], y: [low, high]} of the plane
let marked = { x: 0, y: 0 }; // in the map's own numbers
let points = []; // buttons, in the order of map.points
let choose = null;
let render = null;

// choose: shows a style. render: has a style's blob made, and shows it.
export function startMap(calls) {
  ({ choose, render } = calls);
  whenOpened("map", () => load().catch(complain));
}

// What is shown may be of another run or direction, or another style may be chosen.
export async function refreshMap() {
  if (isOpen("map")) await load();
}

async function load() {
  const { run, to } = state;
  if (map?.run === run && map.to === to) return mark();
  map = null;
  $("plane").replaceChildren();
  $("map-body").hidden = true;
  let found;
  for (;;) {
    found = await service.styleMap(run.name, to);
    if (state.run !== run || state.to !== to) return; // another load is on its way
    if (found.ready) break;
    $("map-note").textContent = `Reading the styles of training images: ${found.done} of ${found.count} …`;
    await new Promise((go) => setTimeout(go, POLL));
  }
  map = { ...found, run, to };
  draw();
}

function draw() {
  range = { x: spread("x"), y: spread("y") };
  const percent = map.shares.map((share) => `${Math.round(100 * share)} %`);
  const directions = `The two directions hold ${percent[0]} and ${percent[1]} of the variance of the styles.`;
  const images = `${map.points.length} training images of “${nameOf(map.to)}”, placed by their styles.`;
  $("map-note").textContent = `${map.note || images} ${directions}`;
  const sheet = map.thumbnails && `url(data:image/webp;base64,${map.thumbnails})`;
  const rows = Math.ceil(map.points.length / map.columns);
  points = map.points.map((point, i) => {
    const button = document.createElement("button");
    button.className = sheet ? "point" : "point bare";
    button.tabIndex = i ? -1 : 0;
    button.title = point.name;
    button.setAttribute("aria-label", sheet ? `Style of ${point.name}` : point.name);
    button.setAttribute("aria-pressed", "false");
    button.style.left = `${100 * share("x", point.x)}%`;
    button.style.top = `${100 * (1 - share("y", point.y))}%`;
    if (sheet) {
      button.style.backgroundImage = sheet;
      button.style.backgroundSize = `${100 * map.columns}% ${100 * rows}%`;
      const [column, row] = [i % map.columns, Math.floor(i / map.columns)];
      button.style.backgroundPosition = `${(100 * column) / (map.columns - 1)}% ${rows > 1 ? (100 * row) / (rows - 1) : 0}%`;
    }
    button.addEventListener("click", () => take(point));
    return button;
  });
  $("plane").replaceChildren(...points, $("marker-template").content.cloneNode(true));
  $("map-body").hidden = false;
  mark();
}

function spread(axis) {
  const values = map.points.map((point) => point[axis]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = MARGIN * (high - low) || 1;
  return [low - margin, high + margin];
}

const share = (axis, value) => (value - range[axis][0]) / (range[axis][1] - range[axis][0]);
const value = (axis, part) => range[axis][0] + part * (range[axis][1] - range[axis][0]);

// The style of an image of the map.
async function take(point) {
  const style = {
    kind: map.thumbnails ? "exemplar" : "map",
    name: map.thumbnails ? `As ${point.name}` : point.name,
    numbers: point.style,
    file: point.file,
    blob: null,
  };
  choose(style);
  await render(style);
}

// The style of a place between the images.
const takePlace = latest(async () => {
  const { image } = state;
  const numbers = map.mean.map((mean, i) => mean + marked.x * map.axes[0][i] + marked.y * map.axes[1][i]);
  const blob = await output(image, place(), { numbers });
  if (state.image !== image || map?.to !== state.to) return;
  Object.assign(here, { numbers, blob, name: `Map at ${marked.x.toFixed(2)}, ${marked.y.toFixed(2)}` });
  choose(here);
});

// Show where the chosen style lies: exactly, for one that was taken here; else its projection.
export function mark() {
  if (!map || map.run !== state.run || map.to !== state.to || !state.chosen?.numbers.length) return;
  const centred = state.chosen.numbers.map((number, i) => number - map.mean[i]);
  const along = (axis) => axis.reduce((sum, each, i) => sum + each * centred[i], 0);
  marked = { x: along(map.axes[0]), y: along(map.axes[1]) };
  for (const [i, point] of map.points.entries())
    points[i].setAttribute("aria-pressed", String(point.style === state.chosen.numbers));
  showMarker();
}

function showMarker() {
  const parts = { x: share("x", marked.x), y: share("y", marked.y) };
  const inside = (part) => Math.min(1, Math.max(0, part));
  const marker = $("plane").querySelector(".marker");
  marker.style.left = `${100 * inside(parts.x)}%`;
  marker.style.top = `${100 * (1 - inside(parts.y))}%`;
  for (const axis of ["x", "y"]) {
    $(`map-${axis}`).value = 100 * inside(parts[axis]);
    $(`map-${axis}`).setAttribute("aria-valuetext", marked[axis].toFixed(2));
  }
}

function go(x, y) {
  marked = { x, y };
  showMarker();
  takePlace();
}

for (const axis of ["x", "y"])
  $(`map-${axis}`).addEventListener("input", () =>
    go(value("x", $("map-x").value / 100), value("y", $("map-y").value / 100)),
  );

function goTo(event) {
  const box = $("plane").getBoundingClientRect();
  const part = (at, from, length) => Math.min(1, Math.max(0, (at - from) / length));
  go(value("x", part(event.clientX, box.left, box.width)), value("y", 1 - part(event.clientY, box.top, box.height)));
}

$("plane").addEventListener("pointerdown", (event) => {
  if (!map || event.target.closest(".point")) return;
  $("plane").setPointerCapture(event.pointerId);
  goTo(event);
});
$("plane").addEventListener("pointermove", (event) => {
  if ($("plane").hasPointerCapture(event.pointerId)) goTo(event);
});

// Arrow keys go to the nearest image in that direction: within 45 degrees of it, on the screen.
$("plane").addEventListener("keydown", (event) => {
  const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  const current = points.indexOf(document.activeElement);
  if (!direction || current < 0) return;
  event.preventDefault();
  const centre = (button) => [button.offsetLeft, button.offsetTop];
  const [x, y] = centre(points[current]);
  let nearest = null;
  let least = Infinity;
  for (const button of points) {
    const [dx, dy] = [centre(button)[0] - x, centre(button)[1] - y];
    const ahead = dx * direction[0] + dy * direction[1];
    const aside = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
    if (button === points[current] || ahead <= 0 || aside > ahead || ahead + aside >= least) continue;
    [nearest, least] = [button, ahead + aside];
  }
  if (!nearest) return;
  points[current].tabIndex = -1;
  nearest.tabIndex = 0;
  nearest.focus();
});
