// The command and the Python lines that give what is shown.

const plain = /^[\w@%+=:,./-]+$/;
const quoted = (text) => (plain.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const text = (value) => JSON.stringify(value); // a JSON string is a Python one

const TILE = 512; // for an image that is too large to be translated as a whole

// style: {kind, seed, index, name, numbers, file}; see studio.js. large: whether the image is.
export function command(run, to, image, style, large) {
  const words = ["drit", "translate", quoted(run.path), quoted(image), "--to", quoted(to), "--out", "out"];
  if (style.kind === "random") words.push("--styles", style.index + 1, "--seed", style.seed);
  if (style.kind === "exemplar") words.push("--style-from", quoted(style.file));
  if (style.kind === "kept") words.push("--style", quoted(`${run.path}/styles.json:${style.name}`));
  if (style.kind === "mix" || style.kind === "map")
    return "# Keep this style under a name: the command takes it by that.";
  if (large) words.push("--tile", TILE);
  const comment = style.kind === "random" ? `  # the last of them: style${String(style.index + 1).padStart(3, "0")}` : "";
  return words.join(" ") + comment;
}

export function python(run, to, image, style, large) {
  const numbers = style.numbers.map((value) => Number(value.toFixed(6)));
  const styles = numbers.length ? `, styles=[[${numbers.join(", ")}]]` : "";
  return [
    "import drit",
    "from PIL import Image",
    "",
    `model = drit.load(${text(run.path)})`,
    `image = Image.open(${text(image)})`,
    `(result,) = model.translate(image, to=${text(to)}${styles}${large ? `, tile=${TILE}` : ""})`,
    'result.save("result.png")',
  ].join("\n");
}
