// The command and the Python lines that give what is shown.

const plain = /^[\w@%+=:,./-]+$/;
const quoted = (text) => (plain.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const text = (value) => JSON.stringify(value); // a JSON string is a Python one

// style: {kind, seed, index, name, numbers, file}; see studio.js.
export function command(run, to, image, style) {
  const words = ["drit", "translate", quoted(run.path), quoted(image), "--to", quoted(to), "--out", "out"];
  if (style.kind === "random") words.push("--styles", style.index + 1, "--seed", style.seed);
  if (style.kind === "exemplar") words.push("--style-from", quoted(style.file));
  if (style.kind === "kept") words.push("--style", quoted(`${run.path}/styles.json:${style.name}`));
  if (style.kind === "mix" || style.kind === "map")
    return "# Keep this style under a name: the command takes it by that.";
  const comment = style.kind === "random" ? `  # the last of them: style${String(style.index + 1).padStart(3, "0")}` : "";
  return words.join(" ") + comment;
}

export function python(run, to, image, style) {
  const numbers = style.numbers.map((value) => Number(value.toFixed(6)));
  const styles = numbers.length ? `, styles=[[${numbers.join(", ")}]]` : "";
  return [
    "import drit",
    "from PIL import Image",
    "",
    `model = drit.load(${text(run.path)})`,
    `image = Image.open(${text(image)})`,
    `(result,) = model.translate(image, to=${text(to)}${styles})`,
    'result.save("result.png")',
  ].join("\n");
}
