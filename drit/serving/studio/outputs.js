// Outputs of images: each image is sent once, and its name suffices from then on.

import * as service from "./service.js";

const contents = new WeakMap(); // File -> Map(what it is encoded for -> promise of the name of the encoded image)

function namesOf(image) {
  if (!contents.has(image)) contents.set(image, new Map());
  return contents.get(image);
}

// One output of an image (a File), as a Blob. place: {run, to, size}. style: {numbers, kind, ...}.
export async function output(image, { run, to, size }, style, signal) {
  const names = namesOf(image);
  const key = `${run.weights} ${to} ${size}`;
  const content = await names.get(key)?.catch(() => ""); // while it is sent for another style
  if (content) {
    try {
      return (await service.translate(run.name, to, { content }, style, size, signal)).blob;
    } catch (error) {
      if (error.status !== 410) throw error; // it made room for others: send it again
    }
  }
  const sent = service.translate(run.name, to, { image }, style, size, signal);
  const name = sent.then((answer) => answer.content);
  name.catch(() => names.delete(key));
  names.set(key, name);
  return (await sent).blob;
}
