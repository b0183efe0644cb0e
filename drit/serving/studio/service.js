// Requests to the service. An error has the words that it gave: what was wrong, and what to do.

let key = sessionStorage.getItem("key") || "";

export class ServiceError extends Error {
  constructor(status, body) {
    super(body.next ? `${body.error} ${body.next}` : body.error);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: key ? { "X-API-Key": key } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, { error: "The service does not answer.", next: "Look whether drit studio still runs." });
  }
  if (response.status === 401) {
    const given = prompt("The key of this service:");
    if (given) {
      key = given;
      sessionStorage.setItem("key", key);
      return ask(path, options);
    }
  }
  if (response.status === 429) {
    await new Promise((go) => setTimeout(go, 1000 * Number(response.headers.get("Retry-After") || 1)));
    if (!options.signal?.aborted) return ask(path, options);
  }
  if (!response.ok) {
    if (response.status === 409) document.dispatchEvent(new Event("run-changed"));
    const body = await response.json().catch(() => ({ error: `The service answered ${response.status}.` }));
    throw new ServiceError(response.status, body);
  }
  return response;
}

function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) body.append(name, value, "image"); // the file's own name is nobody's business
    else body.append(name, String(value));
  }
  return body;
}

const query = (fields) => new URLSearchParams(fields).toString();
const post = (path, fields, signal) => ask(path, { method: "POST", body: form(fields), signal });

// What is served: {runs, animations}.
export async function served() {
  return (await ask("/v1/runs")).json();
}

// Another checkpoint of a run, as a run of its own.
export async function openCheckpoint(run, step) {
  return (await post("/v1/checkpoints", { run, step })).json();
}

export async function sampleStyles(run, to, count, seed, signal) {
  const response = await ask(`/v1/styles?${query({ run, to, count, seed })}`, { signal });
  return (await response.json()).styles;
}

export async function encodeStyle(run, domain, image, size, signal) {
  return (await (await post("/v1/encode-style", { run, domain, image, size }, signal)).json()).style;
}

// How an image was made, if it says so, and its size: {state, run, why, height, width}.
export async function stateOf(image) {
  return (await post("/v1/state", { image })).json();
}

// One output. source: {image} or {content}; {progress}: a token of `progress`. Gives the file and the name of the encoded image. With the seed of a random
// style, the file says it too.
export async function translate(run, to, source, style, size, signal) {
  const fields = style.numbers.length ? { numbers: JSON.stringify([style.numbers]) } : {};
  if (style.kind === "random") Object.assign(fields, { seed: style.seed, count: style.index + 1 });
  const response = await post("/v1/translate", { run, to, size, answer: "image", ...source, ...fields }, signal);
  return { blob: await response.blob(), content: response.headers.get("X-Drit-Content") };
}

// How much of a large image is done, in [0, 1]; null where that is not known.
export async function progress(token) {
  return (await (await ask(`/v1/progress?${query({ token })}`)).json()).share;
}

// All styles, forwards and backwards, as one file of the format `animation`.
export async function animate(run, to, image, styles, size, animation, signal) {
  const numbers = JSON.stringify(styles);
  const fields = { run, to, size, image, numbers, answer: "animation", animation };
  return (await post("/v1/translate", fields, signal)).blob();
}

// The styles of training images in two dimensions, or how far they are: {ready, done, count}.
export async function styleMap(run, to) {
  return (await ask(`/v1/map?${query({ run, to })}`)).json();
}

export async function keptStyles(run) {
  return (await (await ask(`/v1/library?${query({ run })}`)).json()).styles;
}

export const keepStyle = (run, name, domain, numbers) =>
  post("/v1/library", { run, name, domain, numbers: JSON.stringify(numbers) });

// tags: with commas between them. Gives those that the style has now.
export const tagStyle = async (run, name, tags) => (await (await post("/v1/library/tags", { run, name, tags })).json()).tags;

export const removeStyle = (run, name) => ask(`/v1/library?${query({ run, name })}`, { method: "DELETE" });
