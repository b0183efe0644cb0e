// Images between canvases and tensors: (C, H, W), float in [-1, 1], as model/drit.json says.

// The place that a place beyond the border reflects (size 3: 0 1 2 1 0 1 2 ...).
function reflected(place, size) {
  if (size === 1) return 0;
  const period = 2 * (size - 1), rest = place % period;
  return Math.min(rest, period - rest);
}

// The side that networks take for one of `size` pixels.
function padded(size, multiple, minimum) {
  return Math.ceil(Math.max(size, minimum) / multiple) * multiple;
}

// An image as a canvas whose longer side has at most `limit` pixels, on white where it is transparent.
export function canvasOf(bitmap, limit) {
  const scale = Math.min(1, limit / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// A canvas as a tensor of 1 (grey) or 3 channels, reflected below and to the right to sides that networks take.
export function tensorOf(canvas, channels, multiple, minimum) {
  const { width, height } = canvas;
  const w = padded(width, multiple, minimum), h = padded(height, multiple, minimum);
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const data = new Float32Array(channels * h * w);
  for (let y = 0; y < h; y++) {
    const row = reflected(y, height) * width;
    for (let x = 0; x < w; x++) {
      const from = 4 * (row + reflected(x, width)), to = y * w + x;
      if (channels === 1) {
        const [r, g, b] = pixels.subarray(from, from + 3);
        data[to] = Math.round(0.299 * r + 0.587 * g + 0.114 * b) / 127.5 - 1;
      } else {
        for (let c = 0; c < 3; c++) data[c * h * w + to] = pixels[from + c] / 127.5 - 1;
      }
    }
  }
  return { data, dims: [1, channels, h, w] };
}

// Draw a tensor on a canvas of a size that it is cropped to.
export function draw(canvas, { data, dims }, width, height) {
  const [, channels, h, w] = dims;
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const value = data[(channels === 1 ? 0 : c) * h * w + y * w + x];
        image.data[4 * (y * width + x) + c] = Math.round((value + 1) * 127.5);  // clamped by its type
      }
      image.data[4 * (y * width + x) + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
