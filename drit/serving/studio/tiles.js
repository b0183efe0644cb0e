// A grid of styles, each a button with its image. Arrow keys move within it.

import { sameStyle } from "./state.js";

export class Tiles {
  // choose, lock, forget: called with a style. Without `forget` none can be removed.
  constructor(grid, choose, lock, forget = null) {
    this.styles = [];
    this.grid = grid;
    this.choose = choose;
    this.lock = lock;
    this.forget = forget;
    this.tiles = new Map();
    grid.addEventListener("keydown", (event) => this.move(event));
  }

  clear() {
    for (const style of [...this.styles]) this.remove(style);
  }

  fill(styles) {
    this.clear();
    for (const style of styles) this.add(style);
  }

  add(style) {
    const tile = document.createElement("div");
    tile.className = "tile waiting";
    const button = document.createElement("button");
    button.setAttribute("aria-label", style.name);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.choose(style));
    const label = document.createElement("div");
    label.className = "label";
    const name = document.createElement("span");
    name.textContent = style.name;
    name.title = style.kind === "random" ? `${style.name} of seed ${style.seed}` : style.name;
    label.append(name);
    if (style.numbers.length) {
      const lock = document.createElement("button");
      lock.className = "lock";
      lock.append(document.getElementById("lock-template").content.cloneNode(true));
      lock.title = "Lock";
      lock.setAttribute("aria-label", `Lock ${style.name}`);
      lock.setAttribute("aria-pressed", String(Boolean(style.locked)));
      lock.addEventListener("click", () => {
        this.lock(style);
        lock.setAttribute("aria-pressed", String(Boolean(style.locked)));
      });
      label.append(lock);
    }
    if (this.forget) {
      const remove = document.createElement("button");
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove ${style.name}`);
      remove.addEventListener("click", () => this.forget(style));
      label.append(remove);
    }
    const tags = document.createElement("div");
    tags.className = "tags";
    tile.append(button, label, tags);
    this.grid.append(tile);
    this.styles.push(style);
    this.tiles.set(style, tile);
    this.describe(style);
  }

  describe(style) {
    this.tiles.get(style).querySelector(".tags").textContent = (style.tags || []).join(", ");
  }

  // Hides the tiles of other styles.
  filter(wanted) {
    for (const [style, tile] of this.tiles) tile.hidden = !wanted(style);
  }

  shown() {
    return this.styles.filter((style) => !this.tiles.get(style).hidden);
  }

  remove(style) {
    const tile = this.tiles.get(style);
    const image = tile.querySelector("img");
    if (image) URL.revokeObjectURL(image.src);
    tile.remove();
    this.tiles.delete(style);
    this.styles.splice(this.styles.indexOf(style), 1);
  }

  show(style) {
    const tile = this.tiles.get(style);
    if (!tile) return; // it was removed meanwhile
    const image = document.createElement("img");
    image.alt = "";
    image.src = URL.createObjectURL(style.blob);
    tile.firstChild.replaceChildren(image);
    tile.classList.remove("waiting");
  }

  fail(style) {
    const tile = this.tiles.get(style);
    if (!tile) return;
    tile.className = "tile failed";
    tile.firstChild.textContent = "failed";
  }

  press(chosen) {
    for (const [style, tile] of this.tiles)
      tile.firstChild.setAttribute("aria-pressed", String(sameStyle(style, chosen)));
  }

  move(event) {
    const buttons = [...this.tiles.values()].filter((tile) => !tile.hidden).map((tile) => tile.firstChild);
    const place = buttons.indexOf(document.activeElement);
    if (place < 0) return;
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : place + step;
    if (!buttons[next]) return;
    event.preventDefault();
    buttons[next].focus();
  }
}
