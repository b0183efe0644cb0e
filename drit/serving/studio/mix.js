// Mixes of styles: between two, with a walk as a download; of all locked ones, by weights.

import { output } from "./outputs.js";
import * as service from "./service.js";
import { $, complain, latest, place, report, save, state, stem } from "./state.js";

const WALK = 24; // steps of the animated walk between two styles
const WEIGHT = 50; // of a style that is locked, of 100

const mixed = { kind: "mix", name: "", numbers: [], blob: null };
let ends = [null, null]; // the two styles
let calls = null;

// calls: {choose(style), locked(): the locked styles, signal(): of what is shown}
export function startMix(given) {
  calls = given;
}

export function setEnds(a, b) {
  ends = [a, b];
  showEnds();
}

export function clearEnds() {
  ends = [null, null];
  showEnds();
}

const between = (a, b, share) => a.map((value, i) => value * (1 - share) + b[i] * share);

async function show(numbers, name) {
  const signal = calls.signal();
  const blob = await output(state.image, place(), { numbers }, signal);
  if (signal.aborted) return;
  Object.assign(mixed, { numbers, name, blob });
  calls.choose(mixed);
}

// Two

for (const [i, id] of ["slot-a", "slot-b"].entries()) {
  $(id).addEventListener("click", () => {
    if (!state.chosen) return;
    ends[i] = { ...state.chosen }; // a mix goes on changing
    showEnds();
    if (ends[0] && ends[1]) mixTwo();
  });
}

function showEnds() {
  for (const [i, id] of ["slot-a", "slot-b"].entries()) {
    const style = ends[i];
    $(id).classList.toggle("filled", Boolean(style));
    $(id).style.backgroundImage = style?.blob ? `url(${URL.createObjectURL(style.blob)})` : "";
    $(id).title = style ? style.name : "";
  }
  $("blend").disabled = $("walk").disabled = $("walk-format").disabled = !(ends[0] && ends[1]);
}

// Formats of a walk: those that the service has; of others, what to install.
export function offerFormats(able) {
  const all = { webp: "WebP", gif: "GIF", mp4: "MP4" };
  const options = Object.entries(all).map(([format, name]) => {
    const there = able.includes(format);
    const option = new Option(there ? name : `${name}: pip install 'drit[video]'`, format);
    option.disabled = !there;
    return option;
  });
  $("walk-format").replaceChildren(...options);
}

const mixTwo = latest(async () => {
  const [a, b] = ends;
  const share = Number($("blend").value) / 100;
  const percent = Math.round(100 * share);
  await show(between(a.numbers, b.numbers, share), `${100 - percent} % ${a.name}, ${percent} % ${b.name}`);
});

$("blend").addEventListener("input", mixTwo);

$("walk").addEventListener("click", async () => {
  const [a, b] = ends;
  const { run, to, size } = place();
  const steps = Array.from({ length: WALK }, (_, i) => between(a.numbers, b.numbers, i / (WALK - 1)));
  const format = $("walk-format").value;
  $("walk").disabled = true;
  report("Rendering the walk …");
  try {
    const blob = await service.animate(run.name, to, state.image, steps, size, format, calls.signal());
    save(blob, `${stem()}_${a.name} to ${b.name}.${format}`);
    report(`${WALK} steps, forwards and backwards.`);
  } catch (error) {
    complain(error);
  } finally {
    showEnds();
  }
});

// All that are locked

// A slider for each. A style keeps its weight as long as it is locked.
export function refreshWeights() {
  const styles = calls.locked();
  $("weights").hidden = styles.length < 2;
  $("weights-hint").hidden = styles.length >= 2;
  $("weights").replaceChildren(
    ...styles.map((style) => {
      style.weight ??= WEIGHT;
      const label = document.createElement("label");
      const name = Object.assign(document.createElement("span"), { textContent: style.name, title: style.name });
      const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 100, value: style.weight });
      slider.setAttribute("aria-label", `Weight of ${style.name}`);
      slider.addEventListener("input", () => {
        style.weight = Number(slider.value);
        mixLocked();
      });
      label.append(name, slider);
      return label;
    }),
  );
}

const mixLocked = latest(async () => {
  const styles = calls.locked().filter((style) => style.weight > 0);
  const whole = styles.reduce((sum, style) => sum + style.weight, 0);
  if (!whole) return report("All weights are 0: there is nothing to mix.");
  const numbers = styles[0].numbers.map((_, i) => styles.reduce((sum, s) => sum + (s.weight / whole) * s.numbers[i], 0));
  await show(numbers, styles.map((style) => `${Math.round((100 * style.weight) / whole)} % ${style.name}`).join(", "));
});
