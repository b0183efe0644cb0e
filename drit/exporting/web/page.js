// The page: an image in, translations in several styles out. The work is done in worker.js.
import { canvasOf, draw, tensorOf } from "./pixels.js";

const $ = (id) => document.getElementById(id);
const STYLES = 12, SIZES = [128, 192, 256, 384, 512, 768], LIMIT = 3;  // a slider goes from -LIMIT to LIMIT

let record, direction = 0, bitmap = null, original = null, chosen = null, shown = null;
let generation = 0;   // of the image, size and direction: what was asked for earlier is dropped
let sliding = false;  // a style of the sliders is being rendered

// Calls of the worker

const worker = new Worker("./worker.js", { type: "module" });
const waiting = new Map();
let calls = 0;

function ask(name, values, transfer = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, name, values }, transfer);
  });
}

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result); else reject(new Error(error));
};
worker.onerror = (event) => fail(new Error(event.message || "the worker could not start"));

function fail(error) {
  $("error").querySelector("p").textContent = `It did not work: ${error.message}. Try a smaller size, or another browser.`;
  $("error").hidden = false;
}
$("error").querySelector("button").onclick = () => { $("error").hidden = true; };

const say = (text) => { $("status").textContent = text; };

// Styles

function randomStyle() {
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Array.from({ length: record.styles.length }, normal);
}

function tensor(canvas, domain, part) {
  const channels = record.domains[domain].channels;
  const graph = record.graphs[record.directions[direction][part]];
  return tensorOf(canvas, channels, record.image.sides_multiple_of, graph.min_side);
}

async function encode() {
  if (!bitmap) return;
  const own = ++generation, graphs = record.directions[direction];
  original = canvasOf(bitmap, Number($("size").value));
  const { width, height } = original;
  document.documentElement.style.setProperty("--shape", `${width} / ${height}`);
  document.documentElement.style.setProperty("--ratio", width / height);
  const context = Object.assign($("original"), { width, height }).getContext("2d");
  context.drawImage(original, 0, 0);
  $("start").hidden = true;
  $("work").hidden = false;
  $("save").disabled = true;
  $("grid").replaceChildren();
  chosen = null;
  say(`Reading the image, ${width} × ${height} …`);
  try {
    const began = performance.now();
    const image = tensor(original, graphs.from, graphs.translate ? "translate" : "content");
    const translated = await ask("encode", { direction, image }, [image.data.buffer]);
    if (own !== generation) return;
    const seconds = (performance.now() - began) / 1000;
    if (translated) {
      show(translated, []);
      say(`Translated in ${seconds.toFixed(1)} s (${$("status").dataset.backend})`);
    } else {
      $("status").dataset.encoded = seconds.toFixed(1);
      await fill();
    }
  } catch (error) { fail(error); }
}

// Fill the grid with new random styles, the first at once on the stage.
async function fill() {
  const own = ++generation, tiles = [];
  $("grid").replaceChildren();
  for (let i = 0; i < STYLES; i++) tiles.push(addTile(randomStyle(), `Style ${i + 1}`));
  const began = performance.now();
  for (const [i, tile] of tiles.entries()) {
    await paint(tile, own);
    if (own !== generation) return;
    if (i === 0) choose(tile);
    const each = (performance.now() - began) / (i + 1) / 1000;
    say(`Read in ${$("status").dataset.encoded} s, ${each.toFixed(2)} s a style (${$("status").dataset.backend})`);
  }
}

function addTile(style, label, first = false) {
  const tile = document.createElement("button");
  tile.className = "tile waiting";
  tile.setAttribute("aria-label", label);
  tile.title = label;
  tile.setAttribute("aria-pressed", "false");
  tile.append(document.createElement("canvas"));
  tile.style_ = style;
  tile.dataset.style = JSON.stringify(style);
  tile.onclick = () => { if (tile.output) choose(tile); };
  $("grid")[first ? "prepend" : "append"](tile);
  return tile;
}

async function paint(tile, own) {
  try {
    const output = await ask("render", { direction, style: tile.style_ });
    if (own !== generation) return;
    tile.output = output;
    draw(tile.firstChild, output, original.width, original.height);
    tile.classList.remove("waiting");
  } catch (error) { fail(error); }
}

function choose(tile) {
  for (const other of $("grid").children) other.setAttribute("aria-pressed", String(other === tile));
  chosen = [...tile.style_];
  chosen.forEach((value, i) => setSlider(i, value));
  show(tile.output, chosen);
}

function show(output, style) {
  shown = output;
  $("result").dataset.style = JSON.stringify(style);
  draw($("result"), output, original.width, original.height);
  $("save").disabled = false;
}

// Sliders

function makeSliders() {
  $("sliders").replaceChildren();
  for (let i = 0; i < record.styles.length; i++) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "range", min: -LIMIT, max: LIMIT, step: 0.05, ariaLabel: `Number ${i + 1} of the style`,
    });
    input.oninput = () => slide(i, Number(input.value));
    label.append(input, document.createElement("output"));
    $("sliders").append(label);
  }
}

function setSlider(i, value) {
  const label = $("sliders").children[i];
  label.firstChild.value = value;
  label.lastChild.textContent = value.toFixed(2);
}

// While a style is rendered, only the newest of those that follow is kept.
async function slide(i, value) {
  if (!chosen) return;
  chosen[i] = value;
  setSlider(i, value);
  for (const tile of $("grid").children) tile.setAttribute("aria-pressed", "false");
  if (sliding) return;
  sliding = true;
  try {
    for (let last = null; chosen && String(chosen) !== last;) {
      const own = generation, style = [...chosen];
      last = String(style);
      const output = await ask("render", { direction, style });
      if (own !== generation) break;
      show(output, style);
    }
  } catch (error) { fail(error); }
  sliding = false;
}

// Images in and out

async function take(file) {
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    fail(new Error(`${file.name || "this"} is no image that the browser can read`));
    return;
  }
  await encode();
}

async function borrow(file) {
  try {
    const to = record.directions[direction].to;
    const image = tensor(canvasOf(await createImageBitmap(file), Number($("size").value)), to, "style");
    const style = await ask("style", { direction, image }, [image.data.buffer]);
    const tile = addTile(style, `Style of ${file.name}`, true);
    await paint(tile, generation);
    if (tile.output) choose(tile);
  } catch (error) { fail(error); }
}

$("file").onchange = (event) => { if (event.target.files[0]) take(event.target.files[0]); event.target.value = ""; };
$("exemplar").onchange = (event) => { if (event.target.files[0]) borrow(event.target.files[0]); event.target.value = ""; };
$("again").onclick = () => $("file").click();
$("more").onclick = fill;
$("size").onchange = encode;
$("share").oninput = () => $("compare").style.setProperty("--share", `${$("share").value}%`);
$("save").onclick = () => {
  const canvas = document.createElement("canvas");
  draw(canvas, shown, original.width, original.height);
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "translation.png" });
    link.click();
    URL.revokeObjectURL(link.href);
  });
};
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((f) => f.type.startsWith("image/"));
  if (file && record) take(file);
});
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files[0] && record) take(event.dataTransfer.files[0]);
});

// Start

function setDirection(index) {
  direction = index;
  const { style, translate } = record.directions[index];
  $("borrow").hidden = $("exemplar").hidden = !style;
  $("styles").hidden = Boolean(translate);
  encode();
}

function describe() {
  const name = (d) => record.domains[d].name;
  record.directions.forEach(({ from, to }, i) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "direction", checked: i === direction });
    input.onchange = () => setDirection(i);
    label.append(input, `${name(from)} → ${name(to)}`);
    $("directions").append(label);
  });
  $("title").textContent = document.title = record.page.title;
  for (const size of SIZES) $("size").add(new Option(`${size} px`, size, false, size === record.page.size));
  $("about").textContent = `${record.program}, licence of the weights: ${record.licence}`;
  if (!record.directions[direction].translate) makeSliders();
  showExamples(record.page.examples);
}

function showExamples(examples) {
  $("examples").hidden = !examples.length;
  examples.forEach((address, i) => {
    const button = Object.assign(document.createElement("button"), { className: "example" });
    button.append(Object.assign(document.createElement("img"), { src: address, alt: `Example ${i + 1}` }));
    button.onclick = async () => {
      try { take(await (await fetch(address)).blob()); } catch (error) { fail(error); }
    };
    $("examples").querySelector(".buttons").append(button);
  });
}

try {
  // ?cpu computes in WebAssembly where there is WebGPU too
  const started = await ask("start", { cpu: new URLSearchParams(location.search).has("cpu") });
  record = started.record;
  direction = Math.max(0, record.directions.findIndex((d) => d.to === record.page.to));
  $("status").dataset.backend = started.provider === "webgpu" ? "WebGPU" : "WebAssembly";
  describe();
  setDirection(direction);
  say(`Ready (${$("status").dataset.backend}). Nothing that you choose leaves this machine.`);
} catch (error) { fail(error); }
