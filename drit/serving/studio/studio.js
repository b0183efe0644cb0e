// The studio: an image in random styles, one's own, and mixes of them. The map, the other parts and what is shared have
// files of their own.

import { fillOthers, refreshCompare, startCompare } from "./compare.js";
import { isLarge, noteSize, offerFull, setWhole } from "./full.js";
import { keptStyles, showForms, showTags, startLibrary } from "./library.js";
import { mark, refreshMap, startMap } from "./map.js";
import { addImages, refreshMatrix, startMatrix } from "./matrix.js";
import { clearEnds, offerFormats, refreshWeights, setEnds, startMix } from "./mix.js";
import { withState } from "./notes.js";
import { output } from "./outputs.js";
import { command, python } from "./reproduce.js";
import * as service from "./service.js";
import { saveGrid } from "./sheet.js";
import { $, checkpointOptions, complain, nameOf, place, report, sameStyle, save, state, stem } from "./state.js";
import { open } from "./tabs.js";
import { Tiles } from "./tiles.js";
import { showOriginal, showResult } from "./viewer.js";

const COUNT = 12; // random styles at a time
const SIZES = [128, 256, 384, 512, 768];

let work = new AbortController(); // of the image, run, direction and size that are shown

const random = new Tiles($("random"), choose, lock);
const own = new Tiles($("own"), choose, lock, forget);

// One of the runs that were given, or another checkpoint of it.
async function useRun(run, to = state.to) {
  const same = state.run && (state.run.of || state.run.name) === (run.of || run.name); // it keeps size and styles
  if (!same) forgetStyles();
  state.run = run;
  $("run").value = run.of || run.name;
  checkpointOptions($("checkpoint"), run);
  fillOthers();
  const sizes = [...new Set([...SIZES, state.run.trained_size])].sort((a, b) => a - b);
  $("size").replaceChildren(...sizes.map((size) => new Option(`${size} px`, size)), new Option("as it is", 0));
  if (!same) state.size = state.run.trained_size;
  $("size").value = state.size;
  $("directions").replaceChildren($("directions").querySelector("legend"));
  for (const { to } of state.run.directions) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "to", value: to });
    input.addEventListener("change", () => useDirection(to));
    label.append(input, `to ${nameOf(to)}`);
    $("directions").append(label);
  }
  const toward = (letter) => state.run.directions.find((direction) => direction.to === letter);
  const first = toward(to) || toward("b") || state.run.directions[0];
  $("directions").querySelector(`[value="${first.to}"]`).checked = true;
  await useDirection(first.to);
}

// Styles of another run or domain mean nothing here.
function forgetStyles() {
  random.clear();
  own.clear();
}

async function useDirection(to) {
  if (state.to !== to) forgetStyles();
  state.to = to;
  const { from } = state.run.directions.find((direction) => direction.to === to);
  $("expected").textContent = `This model expects images of “${nameOf(from)}”.`;
  $("exemplar-label").hidden = !state.run.exemplar;
  $("own-hint").textContent = state.run.exemplar
    ? `Borrow the style of an image of “${nameOf(to)}”, or keep a style under a name.`
    : "Keep a style under a name: it comes back here.";
  $("random-title").textContent = state.run.style_dim ? "Random styles" : "The one output of this model";
  for (const id of ["mix", "keep", "more", "own", "own-heading", "own-hint", "tab-map"]) $(id).hidden = !state.run.style_dim;
  if (!state.run.style_dim) open("styles");
  if (!state.image) return;
  await show();
  await refreshMap();
  refreshMatrix();
  refreshCompare();
}

// A checkpoint is opened when it is chosen, and read anew where its files changed.
async function useCheckpoint(name, step) {
  const run = await service.openCheckpoint(name, step);
  const place = state.runs.findIndex((each) => each.name === run.name);
  if (place >= 0) state.runs[place] = run;
  await useRun(run);
}

let reopening = false;

// A training replaced the checkpoint that is shown: its newest one comes in its place.
document.addEventListener("run-changed", async () => {
  if (reopening) return;
  reopening = true;
  try {
    const { runs } = await service.served();
    const given = runs.find((run) => run.name === (state.run.of || state.run.name));
    if (!given.steps.length) return;
    await useCheckpoint(given.name, given.steps.at(-1));
    $("error").hidden = true;
    report(`The files of the run changed: iteration ${state.run.step} was read anew.`);
  } catch (error) {
    complain(error);
  } finally {
    reopening = false;
  }
});

// An image, in a grid of styles

// The first is translated; all are rows of the matrix, which shows where there are several.
async function useImages(files) {
  if (!files.length) return;
  const [first, ...others] = files;
  if (others.length) addImages(files);
  await useImage(first);
  if (others.length) open("matrix");
}

async function useImage(file) {
  const known = await service.stateOf(file).catch(() => ({})); // translating it will complain
  const { state: made, run, why } = known;
  noteSize(file, known);
  if (why) complain(new Error(`${file.name} says how it was made. ${why}`));
  if (made && run) await restore(file, made, run);
  else await translateImage(file);
}

// style: one that is rendered already, to be shown.
async function translateImage(file, style = null) {
  $("restored").hidden = true;
  if (!state.images.includes(file)) state.images.push(file);
  state.image = file;
  state.seed = 0;
  showOriginal(file);
  $("start").hidden = true;
  $("work").hidden = $("reproduce").hidden = false;
  await show(style);
}

async function show(style = null) {
  offerFull();
  work.abort();
  work = new AbortController();
  state.chosen = null;
  $("download").disabled = true; // until there is something
  clearEnds();
  if (style) choose(style);
  await Promise.all([fillRandom(), fillKept(), fillRestored()].map((filling) => filling.catch(complain)));
}

const titleOf = ({ name, seed }) => {
  const numbered = seed === null ? null : name.match(/^style0*(\d+)$/);
  return numbered ? `Style ${numbered[1]} of seed ${seed}` : name;
};

// The run, direction and styles of an output of this program. It is no input: the image that is shown gets its style.
async function restore(file, made, run) {
  const shown = made.styles || [made]; // a grid and a walk show several
  const kind = made.styles ? "mix" : "exemplar"; // the command takes a file that shows one style
  const styles = shown.map((each) => ({ kind, name: titleOf(each), numbers: each.style, file: file.name }));
  const walk = made.name === "walk" && styles.length > 1;
  const named = walk ? "A walk" : made.styles ? `${styles.length} styles` : styles[0].name;
  state.restored = { run, to: made.to, styles: walk ? [styles[0], styles.at(-1)] : styles, walk, file };
  const { runs } = await service.served();
  const maker = runs.find((each) => each.name === run);
  const where = `run ${run}, to ${nameOf(made.to, maker)}`;
  const next = state.image ? "" : " Now drop the image to translate.";
  $("restored").querySelector("p").textContent = `Restored from ${file.name}: ${named} of ${where}.${next}`;
  $("restored").hidden = false;
  if (state.run.name === run && state.to === made.to) {
    if (state.image) await fillRestored();
    return;
  }
  await useRun(maker, made.to); // with the style, where there is an image
}

async function fillRestored() {
  const { restored, run, to } = state;
  const { signal } = work;
  if (!restored || !run.style_dim || restored.run !== run.name || restored.to !== to) return;
  const styles = restored.styles.map((style) => ({ ...style }));
  for (const style of styles) own.add(style);
  for (const style of styles) await render(style, own, signal);
  if (signal.aborted) return;
  choose(styles[0]);
  if (restored.walk) setEnds(...styles);
}

async function fillRandom() {
  const { run, to, seed, size, image } = state;
  const { signal } = work;
  const began = performance.now();
  const numbers = run.style_dim ? await service.sampleStyles(run.name, to, COUNT, seed, signal) : [[]];
  const before = [...random.styles];
  const styles = numbers.map((each, index) => {
    if (before[index]?.locked) return { ...before[index], blob: null };
    const name = run.style_dim ? `Style ${index + 1}` : "Output";
    return { kind: run.style_dim ? "random" : "only", name, numbers: each, seed, index };
  });
  random.fill(styles);
  refreshWeights();
  report(`Translating ${image.name || "the image"} …`);
  await render(styles[0], random, signal); // alone: it comes first, and the others find the image encoded
  if (!state.chosen && styles[0].blob) choose(styles[0]);
  await Promise.all(styles.slice(1).map((style) => render(style, random, signal)));
  const seconds = ((performance.now() - began) / 1000).toFixed(2);
  const what = size ? `at ${size} px` : "at full size";
  report(`${styles.length} ${styles.length > 1 ? "styles" : "image"} ${what} in ${seconds} s.`);
}

async function fillKept() {
  if (!state.run.style_dim) return;
  const { signal } = work;
  const { run, to } = state;
  const mine = own.styles.filter((style) => style.locked);
  own.clear();
  for (const style of mine) if (style.kind !== "kept") own.add({ ...style, blob: null });
  for (const style of await keptStyles(run, to)) {
    if (signal.aborted) return;
    const before = mine.find(({ kind, name }) => kind === "kept" && name === style.name);
    own.add({ ...style, locked: Boolean(before), weight: before?.weight });
  }
  showTags();
  refreshWeights();
  for (const style of own.styles) await render(style, own, signal);
}

// Have a style rendered, and show it in its tile. The image is sent once; its name suffices from then on.
async function render(style, tiles, signal) {
  try {
    style.blob = await output(state.image, place(), style, signal);
    tiles.show(style);
    if (state.chosen === style) choose(style); // it was chosen while it was on its way
  } catch (error) {
    if (error.name === "AbortError") return;
    tiles.fail(style);
    complain(error);
  }
}

// The chosen style

function choose(style) {
  state.chosen = style;
  random.press(style);
  own.press(style);
  mark();
  $("chosen-name").textContent = style.kind === "random" ? `${style.name} of seed ${style.seed}` : style.name;
  showForms(style);
  if (style.blob) showResult(style.blob);
  const name = state.image.name || "image.png";
  const to = nameOf(state.to);
  const large = isLarge(state.image);
  $("command").textContent = command(state.run, to, name, style, large);
  $("python").textContent = python(state.run, to, name, style, large);
  $("reproduce-hint").textContent = state.size
    ? `They translate the whole image; here its short side has at most ${state.size} pixels.`
    : "";
}

$("download").addEventListener("click", () => {
  const { blob, name } = state.chosen;
  save(blob, `${stem()}_${name}.${blob.type.replace("image/", "")}`); // TIFF where PNG cannot hold it
});

$("download-grid").addEventListener("click", () => {
  const styles = [...random.styles, ...own.styles].filter((style) => style.blob);
  saveGrid(styles)
    .then((sheet) => withState(sheet, "grid", styles))
    .then((blob) => save(blob, `${stem()}_styles.png`))
    .catch(complain);
});

// Styles of one's own: kept, borrowed

async function forget(style) {
  try {
    if (style.kind === "kept") await service.removeStyle(state.run.name, style.name);
    own.remove(style);
    showTags();
    refreshWeights();
    const { restored } = state;
    if (restored) restored.styles = restored.styles.filter((each) => each.numbers !== style.numbers);
    if (restored && !restored.styles.length) {
      state.restored = null;
      $("restored").hidden = true;
    }
    report(`Removed “${style.name}”.`);
  } catch (error) {
    complain(error);
  }
}

async function borrow(file) {
  if (!file) return;
  const { signal } = work;
  report(`Reading the style of ${file.name} …`);
  try {
    const { run, to, size } = state;
    const { state: made, run: maker } = await service.stateOf(file);
    if (made?.styles && maker) return await restore(file, made, maker); // it shows several
    const numbers =
      made && maker === run.name && made.to === to
        ? made.style // an output of this run: the exact style
        : await service.encodeStyle(run.name, to, file, size, signal);
    const style = { kind: "exemplar", name: `As ${file.name}`, numbers, file: file.name };
    own.add(style);
    await render(style, own, signal);
    choose(style);
    report(`Borrowed the style of ${file.name}.`);
  } catch (error) {
    complain(error);
  }
}

// Locked styles stay: with more random ones, and with another image. They are mixed by weights.
function lock(style) {
  style.locked = !style.locked;
  refreshWeights();
}

const locked = () => [...random.styles, ...own.styles].filter((style) => style.locked);

// The styles that are compared: locked ones and one's own; without any, the first random ones. The chosen one is there.
function columns() {
  const found = [...random.styles.filter((style) => style.locked), ...own.shown()];
  if (!found.length) found.push(...random.styles.slice(0, 4));
  if (state.chosen && !found.some((style) => sameStyle(style, state.chosen))) found.unshift(state.chosen);
  return found;
}

startMix({ choose, locked, signal: () => work.signal });
startLibrary({ own, choose });
startMatrix({ styles: columns, show: (file, style) => (file === state.image ? choose(style) : translateImage(file, style)) });

// Two outputs in one style: the slider lies between them.
function showPair(style, left, names) {
  choose(style);
  showResult(style.blob, left, names);
}

startCompare({ styles: columns, showPair });

// A style of the map, which has no tile.
startMap({ choose, render: (style) => render(style, own, work.signal) });

// Where images and choices come from

$("run").addEventListener("change", () => useRun(state.runs[$("run").selectedIndex]).catch(complain));
$("checkpoint").addEventListener("change", () => {
  useCheckpoint(state.run.of || state.run.name, $("checkpoint").value).catch(complain);
});
$("size").addEventListener("change", () => {
  state.size = Number($("size").value);
  if (state.image) show().then(refreshMatrix).then(refreshCompare);
});
$("more").addEventListener("click", () => {
  if (random.styles.every((style) => style.locked)) return report("All styles are locked: open one to draw others.");
  state.seed += 1;
  fillRandom().catch(complain);
});
$("another").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  useImages([...$("file").files]).catch(complain);
  $("file").value = "";
});
$("exemplar").addEventListener("change", () => {
  borrow($("exemplar").files[0]);
  $("exemplar").value = "";
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const files = [...event.dataTransfer.files];
  if (state.image && event.target.closest("#own, #exemplar-label, #own-hint")) borrow(files[0]);
  else if (state.image && event.target.closest("#matrix")) addImages(files);
  else useImages(files).catch(complain);
});
document.addEventListener("paste", (event) => {
  useImages([...event.clipboardData.files]).catch(complain);
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText($(button.dataset.copy).textContent).catch(complain);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

$("error").querySelector("button").addEventListener("click", () => ($("error").hidden = true));
$("use-itself").addEventListener("click", () => translateImage(state.restored.file).catch(complain));

// Start

try {
  const { runs, animations, whole_pixels: whole } = await service.served();
  offerFormats(animations);
  setWhole(whole);
  state.runs = runs.filter((run) => !run.of);
  for (const run of state.runs) $("run").add(new Option(run.name));
  $("run-choice").hidden = state.runs.length === 1;
  await useRun(state.runs[0]);
} catch (error) {
  complain(error);
}
