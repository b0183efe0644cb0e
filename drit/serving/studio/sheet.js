// Outputs with their names as one PNG file.

const GAP = 8;
const LINE = 22; // pixels of a line of text

const drawn = (blob) => createImageBitmap(blob);

function paperOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const paper = canvas.getContext("2d");
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, width, height);
  paper.fillStyle = "#222";
  paper.font = "13px system-ui, sans-serif";
  return paper;
}

const file = (paper) => new Promise((done) => paper.canvas.toBlob(done, "image/png"));

// `text` from `left` on, cut to a width.
function write(paper, text, left, base, width) {
  let shown = text;
  while (shown.length > 1 && paper.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  paper.fillText(shown, left, base);
}

// Styles {name, blob} of one image, four in a row.
export async function saveGrid(styles) {
  const images = await Promise.all(styles.map((style) => drawn(style.blob)));
  if (!images.length) throw new Error("There is nothing to download yet.");
  const columns = Math.min(4, images.length);
  const { width, height } = images[0];
  const lines = Math.ceil(images.length / columns);
  const paper = paperOf(GAP + columns * (width + GAP), GAP + lines * (height + LINE + GAP));
  for (const [i, image] of images.entries()) {
    const left = GAP + (i % columns) * (width + GAP);
    const top = GAP + Math.floor(i / columns) * (height + LINE + GAP);
    paper.drawImage(image, left, top, width, height);
    write(paper, styles[i].name, left, top + height + 15, width);
  }
  return file(paper);
}

// A table. columns: names. rows: {name, original: Blob or null, blobs}; images of a row have one size.
export async function saveTable(columns, rows) {
  const lines = await Promise.all(
    rows.map(async ({ name, original, blobs }) => ({
      name,
      original: original && (await drawn(original).catch(() => null)), // a format that this browser does not show
      images: await Promise.all(blobs.map(drawn)),
    })),
  );
  if (!lines.length || !lines[0].images.length) throw new Error("There is nothing to download yet.");
  const width = Math.max(...lines.flatMap((line) => line.images.map((image) => image.width)));
  const heights = lines.map((line) => Math.max(...line.images.map((image) => image.height)));
  const whole = heights.reduce((sum, height) => sum + height + LINE + GAP, 0);
  const paper = paperOf(GAP + (columns.length + 1) * (width + GAP), GAP + LINE + whole);
  const place = (column) => GAP + column * (width + GAP);
  for (const [i, name] of columns.entries()) write(paper, name, place(i + 1), GAP + 13, width);
  let top = GAP + LINE;
  for (const [i, { name, original, images }] of lines.entries()) {
    const { width: own, height } = images[0];
    if (original) paper.drawImage(original, place(0), top, own, height);
    for (const [j, image] of images.entries()) paper.drawImage(image, place(j + 1), top);
    write(paper, name, place(0), top + height + 15, width);
    top += heights[i] + LINE + GAP;
  }
  return file(paper);
}
