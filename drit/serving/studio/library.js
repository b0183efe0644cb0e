// Kept styles: under names, with tags, in styles.json in the run's folder.

import * as service from "./service.js";
import { $, complain, report, state } from "./state.js";

let own = null; // tiles
let choose = null;

export function startLibrary(calls) {
  ({ own, choose } = calls);
}

export const keptStyles = async (run, to) =>
  (await service.keptStyles(run.name))
    .filter((style) => style.domain === to)
    .map(({ name, numbers, tags }) => ({ kind: "kept", name, numbers, tags }));

// The forms of the chosen style: a name for one that is not kept, tags for one that is.
export function showForms(style) {
  $("keep").hidden = !state.run.style_dim || style.kind === "kept";
  $("tagging").hidden = style.kind !== "kept";
  if (style.kind === "kept") $("tags").value = style.tags.join(", ");
}

$("keep").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("keep-name").value.trim();
  const { chosen, run, to } = state;
  if (!name || !chosen) return $("keep-name").focus();
  try {
    await service.keepStyle(run.name, name, to, chosen.numbers);
    const kept = { kind: "kept", name, numbers: chosen.numbers, blob: chosen.blob, tags: [] };
    own.add(kept);
    if (kept.blob) own.show(kept);
    choose(kept);
    $("keep-name").value = "";
    report(`Kept “${name}” in ${run.path}/styles.json.`);
  } catch (error) {
    complain(error);
  }
});

$("tagging").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { chosen, run } = state;
  try {
    chosen.tags = await service.tagStyle(run.name, chosen.name, $("tags").value);
    own.describe(chosen);
    showTags();
    showForms(chosen);
    report(chosen.tags.length ? `“${chosen.name}”: ${chosen.tags.join(", ")}.` : `“${chosen.name}” has no tags.`);
  } catch (error) {
    complain(error);
  }
});

// The choice of a tag, where there are any; the tiles of others are hidden.
export function showTags() {
  const before = $("tag").value;
  const tags = [...new Set(own.styles.flatMap((style) => style.tags || []))].sort((a, b) => a.localeCompare(b));
  $("tag").replaceChildren(new Option("all tags", ""), ...tags.map((tag) => new Option(tag, tag)));
  $("tag").value = tags.includes(before) ? before : "";
  $("tag-choice").hidden = !tags.length;
  filter();
}

function filter() {
  const tag = $("tag").value;
  own.filter((style) => !tag || (style.tags || []).includes(tag));
}

$("tag").addEventListener("change", filter);
