// Images x styles: each of several images in each of several styles.

import { withState } from "./notes.js";
import { output } from "./outputs.js";
import { saveTable } from "./sheet.js";
import { $, complain, place, report, save, state, stem } from "./state.js";
import { isOpen, whenOpened } from "./tabs.js";

let work = new AbortController(); // of what is shown
let cells = new Map(); // what is rendered: text -> Blob
let shown = { columns: [], rows: [] }; // styles, and files
let calls = null;

// calls: {styles: those of the columns, show(file, style): shows a cell large}
export function startMatrix(given) {
  calls = given;
  whenOpened("matrix", refreshMatrix);
}

export function addImages(files) {
  for (const file of files) if (!state.images.includes(file)) state.images.push(file);
  refreshMatrix();
}

export function refreshMatrix() {
  if (isOpen("matrix") && state.image) fill().catch(complain);
}

const textOf = (file, style) => {
  const { run, to, size } = place();
  const same = [file.name, file.lastModified, file.size];
  return JSON.stringify([run.weights, to, size, same, style.numbers]);
};

async function fill() {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  shown = { columns: calls.styles(), rows: [...state.images] };
  const cell = draw();
  const kept = new Map(); // blobs of cells that are no longer shown are let go
  for (const file of shown.rows)
    for (const style of shown.columns) {
      const text = textOf(file, style);
      if (cells.has(text)) kept.set(text, cells.get(text));
    }
  cells = kept;
  const one = async (file, style) => {
    const text = textOf(file, style);
    try {
      if (!cells.has(text)) cells.set(text, await output(file, place(), style, signal));
      if (!signal.aborted) cell(file, style).show(cells.get(text));
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      cell(file, style).fail();
      throw new Error(`${file.name}: ${error.message}`);
    }
  };
  for (const file of shown.rows)
    await Promise.all(shown.columns.map((style) => one(file, style))).catch(complain); // the other rows go on
  if (!signal.aborted) report(`${shown.rows.length} × ${shown.columns.length} outputs.`);
}

function element(name, parent, options = {}) {
  const made = Object.assign(document.createElement(name), options);
  parent.append(made);
  return made;
}

// Draws the empty table; gives what shows a cell.
function draw() {
  const table = $("matrix-table");
  for (const image of table.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  table.replaceChildren();
  const head = element("tr", element("thead", table));
  element("td", head);
  for (const { name } of shown.columns) element("th", head, { scope: "col", textContent: name, title: name });
  const body = element("tbody", table);
  const buttons = new Map();
  for (const file of shown.rows) {
    const line = element("tr", body);
    const title = element("th", line, { scope: "row" });
    const original = element("img", title, { alt: "", src: URL.createObjectURL(file) });
    original.addEventListener("error", () => original.remove()); // a format that this browser does not show
    element("span", title, { textContent: file.name, title: file.name });
    if (shown.rows.length > 1) {
      const remove = element("button", title, { type: "button", textContent: "×" });
      remove.setAttribute("aria-label", `Remove ${file.name}`);
      remove.addEventListener("click", () => {
        state.images.splice(state.images.indexOf(file), 1);
        refreshMatrix();
      });
    }
    for (const style of shown.columns) {
      const button = element("button", element("td", line), { type: "button", className: "cell waiting" });
      button.setAttribute("aria-label", `${file.name} in ${style.name}`);
      button.addEventListener("click", () => calls.show(file, { ...style, blob: cells.get(textOf(file, style)) }));
      buttons.set(textOf(file, style), button);
    }
  }
  return (file, style) => {
    const button = buttons.get(textOf(file, style));
    return {
      show(blob) {
        button.className = "cell";
        button.replaceChildren();
        element("img", button, { alt: "", src: URL.createObjectURL(blob) });
      },
      fail() {
        button.className = "cell failed";
        button.textContent = "failed";
      },
    };
  };
}

$("download-matrix").addEventListener("click", () => {
  const rows = shown.rows
    .map((file) => ({
      name: stem(file),
      original: file,
      blobs: shown.columns.map((style) => cells.get(textOf(file, style))).filter(Boolean),
    }))
    .filter((row) => row.blobs.length === shown.columns.length);
  const first = shown.columns.map((style, i) => ({ name: style.name, blob: rows[0]?.blobs[i] }));
  saveTable(shown.columns.map((style) => style.name), rows)
    .then((sheet) => withState(sheet, "grid", first))
    .then((blob) => save(blob, "images in styles.png"))
    .catch(complain);
});

$("more-images").addEventListener("change", () => {
  addImages([...$("more-images").files]);
  $("more-images").value = "";
});
