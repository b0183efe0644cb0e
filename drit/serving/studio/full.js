// The chosen style at the image's own size: in strips where it is large, which may take minutes.

import * as service from "./service.js";
import { $, complain, report, save, state, stem } from "./state.js";

const POLL = 500; // milliseconds between looks how far it is

const sizes = new WeakMap(); // File -> {height, width}, as the service read them
let going = null; // an AbortController, while one is on its way
let whole = 0; // pixels of the largest image that is translated as a whole

export function setWhole(pixels) {
  whole = pixels;
}

export function noteSize(file, { height, width }) {
  sizes.set(file, { height: height || 0, width: width || 0 });
}

const sizeOf = (file) => sizes.get(file) || { height: 0, width: 0 };

// Whether an image is too large to be translated as a whole.
export function isLarge(file) {
  const { height, width } = sizeOf(file);
  return height * width > whole;
}

// The full size is offered where less is shown; a large image is shown at full size by a download alone.
export function offerFull() {
  const size = sizeOf(state.image);
  const option = $("size").querySelector("[value='0']");
  option.disabled = isLarge(state.image);
  if (state.size === 0 && option.disabled) {
    state.size = state.run.trained_size;
    $("size").value = state.size;
  }
  $("full").hidden = !state.size || Math.min(size.height, size.width) <= state.size;
  $("full").title = `Download at ${size.width} × ${size.height} pixels`;
}

$("full").addEventListener("click", async () => {
  if (going) return going.abort();
  const { run, to, image, chosen } = state;
  const token = crypto.getRandomValues(new Uint32Array(4)).join("-");
  going = new AbortController();
  $("full").textContent = "Stop";
  $("full-progress").hidden = false;
  $("full-progress").removeAttribute("value"); // it is not known yet
  const watch = setInterval(async () => {
    const share = await service.progress(token).catch(() => null);
    if (share !== null && going) $("full-progress").value = share;
  }, POLL);
  try {
    report(`Translating ${image.name} at full size …`);
    const { blob } = await service.translate(run.name, to, { image, progress: token }, chosen, 0, going.signal);
    save(blob, `${stem(image)}_${chosen.name}_full.${blob.type.replace("image/", "")}`);
    report(`${image.name} at full size is done.`);
  } catch (error) {
    if (error.name === "AbortError") report("Stopped.");
    complain(error);
  } finally {
    clearInterval(watch);
    going = null;
    $("full").textContent = "Full size";
    $("full-progress").hidden = true;
  }
});
