// What is chosen, and words for the person: shared by the parts of the page.

export const $ = (id) => document.getElementById(id);

export const state = {
  runs: [], // those that were given
  run: null, // of them, or another checkpoint of one (`of` names the given run)
  to: "",
  size: 256, // a larger short side is scaled down to so many pixels; 0: the image as it is
  image: null, // File
  images: [], // all that were given: the rows of the matrix
  seed: 0,
  chosen: null, // a style: {kind, name, numbers, blob, ...}
  restored: null, // from an output that was dropped: {run, to, styles, walk, file}
};

// Where the shown outputs come from.
export const place = () => ({ run: state.run, to: state.to, size: state.size });

export const nameOf = (letter, run = state.run) => run.domains.find((domain) => domain.letter === letter).name;

// The checkpoints of a run in a <select>; hidden where it has one.
export function checkpointOptions(select, run) {
  const steps = run.steps.length ? run.steps : [run.step];
  select.replaceChildren(...steps.map((step) => new Option(`${step} iterations`, step)));
  select.value = run.step;
  select.parentElement.hidden = steps.length === 1;
}

export const stem = (file = state.image) => (file.name || "image").replace(/\.[^.]*$/, "");

export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function report(text) {
  $("status").textContent = text;
}

export function complain(error) {
  if (error.name === "AbortError") return;
  $("error").querySelector("p").textContent = error.message;
  $("error").hidden = false;
}

export const sameStyle = (a, b) => a === b || (a?.numbers.length > 0 && String(a.numbers) === String(b?.numbers));

// Calls of `work` one at a time: of those that come meanwhile only the last counts.
export function latest(work) {
  let busy = false;
  let again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } catch (error) {
      complain(error);
    } finally {
      busy = false;
    }
  };
}
