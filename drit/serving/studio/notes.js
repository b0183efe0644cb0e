// How outputs were made. Each says it in its own file (see docs/formats.md); a sheet of several says it of all.

const CHUNK = "iTXt";
const KEYWORD = "drit.state\0\0\0\0\0"; // uncompressed, in no language
const SIGNATURE = 8; // bytes

const CRC = Array.from({ length: 256 }, (_, value) => {
  for (let i = 0; i < 8; i++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc(bytes) {
  let sum = ~0;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

// The state in a PNG file; null where there is none.
async function stateIn(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
  if (blob.type !== "image/png") return null;
  for (let at = SIGNATURE; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const [start, end] = [at + 8, at + 8 + view.getUint32(at)];
    if (text(at + 4, start) === CHUNK && text(start, start + KEYWORD.length) === KEYWORD)
      return JSON.parse(text(start + KEYWORD.length, end));
  }
  return null;
}

function chunk(data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(CHUNK), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

// A sheet (PNG) that shows styles {name, blob} of one run and direction, with the state of them all. `name`: of the sheet.
export async function withState(sheet, name, styles) {
  const states = await Promise.all(styles.map((style) => stateIn(style.blob)));
  if (!states.length || states.includes(null)) return sheet; // TIFF, which this page does not read
  const shown = states.map(({ name: own, style, seed }, i) => ({ name: seed === null ? styles[i].name : own, style, seed }));
  const state = { ...states[0], name, style: [], seed: null, styles: shown };
  const after = SIGNATURE + 25; // the header chunk
  const note = chunk(new TextEncoder().encode(KEYWORD + JSON.stringify(state)));
  return new Blob([sheet.slice(0, after), note, sheet.slice(after)], { type: "image/png" });
}
