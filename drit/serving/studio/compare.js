// Two runs, or two checkpoints of one, side by side: the same image, and the same styles where both take them.

import { output } from "./outputs.js";
import * as service from "./service.js";
import { saveTable } from "./sheet.js";
import { $, checkpointOptions, complain, place, report, save, state, stem } from "./state.js";
import { isOpen, whenOpened } from "./tabs.js";

const COUNT = 4; // styles where the two take different ones

let work = new AbortController(); // of what is shown
let calls = null;
let pairs = []; // {style, left, right}: Blobs

// calls: {styles: those to compare, showPair(style, left, right, names): shows two outputs large}
export function startCompare(given) {
  calls = given;
  whenOpened("compare-tab", refreshCompare);
  $("other-run").addEventListener("change", () => {
    fillCheckpoints();
    refreshCompare();
  });
  $("other-checkpoint").addEventListener("change", refreshCompare);
}

// The runs that there are; by default another one than is shown, else an earlier checkpoint.
export function fillOthers() {
  const before = $("other-run").value;
  $("other-run").replaceChildren(...state.runs.map((run) => new Option(run.name, run.name)));
  const shown = state.run.of || state.run.name;
  const others = state.runs.filter((run) => run.name !== shown || run.steps.length > 1);
  const other = others.find((run) => run.name === before) || others.find((run) => run.name !== shown);
  $("other-run").value = (other || state.runs[0]).name;
  $("other-run").parentElement.hidden = state.runs.length === 1;
  fillCheckpoints();
}

function fillCheckpoints() {
  const run = state.runs.find((each) => each.name === $("other-run").value);
  const shown = state.run.of || state.run.name;
  const [select, before] = [$("other-checkpoint"), Number($("other-checkpoint").value)];
  checkpointOptions(select, run);
  const others = run.steps.filter((step) => run.name !== shown || step !== state.run.step);
  const wanted = others.includes(before) ? before : run.name === shown ? others.at(-1) : run.step;
  if (wanted !== undefined) select.value = wanted;
}

export function refreshCompare() {
  if (isOpen("compare-tab") && state.image) fill().catch(complain);
}

async function fill() {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  const { run, to, size } = place();
  const { image } = state;
  const base = state.runs.find((each) => each.name === $("other-run").value);
  const step = Number($("other-checkpoint").value) || base.step;
  pairs = [];
  draw([]);
  if (state.runs.length === 1 && base.steps.length < 2)
    return note("There is nothing to compare with: this run has one checkpoint. Give several runs: drit studio RUN RUN");
  const other = await service.openCheckpoint(base.name, step);
  if (signal.aborted) return;
  if (!other.directions.some((direction) => direction.to === to))
    return note(`${other.name} does not translate to domain ${to}.`);
  const same = other.style_dim === run.style_dim;
  const right = same ? calls.styles() : await own(run, to, signal);
  const left = same ? right : await own(other, to, signal);
  const count = Math.min(left.length, right.length);
  note(same ? "" : "Their styles have different lengths: each draws its own with the same seed.");
  const names = titles(other, run);
  $("left-title").textContent = names[0];
  $("right-title").textContent = names[1];
  pairs = right.slice(0, count).map((style, i) => ({ style, other: left[i], left: null, right: null }));
  const cells = draw(names);
  const one = async (at, style, side, i) => {
    pairs[i][side] = await output(image, { run: at, to, size }, style, signal);
    if (!signal.aborted) cells[i](side, pairs[i][side]);
  };
  for (const [i, pair] of pairs.entries())
    await Promise.all([one(other, pair.other, "left", i), one(run, pair.style, "right", i)]);
  report(`${names[0]} and ${names[1]} in ${count} ${count === 1 ? "style" : "styles"}.`);
}

// What two runs are called: by what they differ in.
function titles(...runs) {
  const names = runs.map((run) => run.of || run.name);
  const steps = runs.map((run) => `${run.step} iterations`);
  if (names[0] === names[1]) return steps;
  return runs.map((run, i) => (run.of ? `${names[i]}, ${steps[i]}` : names[i]));
}

function note(text) {
  $("compare-note").textContent = text;
}

async function own(run, to, signal) {
  if (!run.style_dim) return [{ kind: "only", name: "Output", numbers: [] }];
  const numbers = await service.sampleStyles(run.name, to, COUNT, state.seed, signal);
  return numbers.map((each, index) => ({ kind: "random", name: `Style ${index + 1}`, numbers: each, seed: state.seed, index }));
}

// Draws the empty pairs; gives what shows each side of them.
function draw(names) {
  $("pairs-head").hidden = !names.length;
  for (const image of $("pairs").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  const cards = pairs.map((pair, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "pair";
    button.setAttribute("aria-label", `Compare ${pair.style.name}`);
    for (const side of ["left", "right"]) {
      const half = document.createElement("span");
      half.className = `half ${side} waiting`;
      button.append(half);
    }
    const name = document.createElement("span");
    name.className = "pair-name";
    name.textContent = pair.style.name;
    button.append(name);
    button.addEventListener("click", () => {
      const { style, left, right } = pairs[i];
      if (left && right) calls.showPair({ ...style, blob: right }, left, names);
    });
    return button;
  });
  $("pairs").replaceChildren(...cards);
  return cards.map((card) => (side, blob) => {
    const image = Object.assign(document.createElement("img"), { alt: "", src: URL.createObjectURL(blob) });
    const half = card.querySelector(`.${side}`);
    half.classList.remove("waiting");
    half.replaceChildren(image);
  });
}

$("download-pairs").addEventListener("click", () => {
  const done = pairs.filter((pair) => pair.left && pair.right);
  const line = (side, id) => ({ name: $(id).textContent, original: state.image, blobs: done.map((pair) => pair[side]) });
  saveTable(done.map((pair) => pair.style.name), [line("left", "left-title"), line("right", "right-title")])
    .then((blob) => save(blob, `${stem()}_compared.png`))
    .catch(complain);
});
