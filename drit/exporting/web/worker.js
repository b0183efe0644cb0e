// The model, in a thread of its own: ONNX Runtime on WebGPU where the browser has it, else in WebAssembly.

let ort, provider, record;
const sessions = new Map();  // by file
let prepared = {};           // what no style changes, of the image that was encoded last

async function load(gpu) {
  const file = gpu ? "ort-wasm-simd-threaded.asyncify.wasm" : "ort-wasm-simd-threaded.wasm";
  ort = await import(gpu ? "./runtime/ort.webgpu.bundle.min.mjs" : "./runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.wasmPaths = { wasm: new URL(`./runtime/${file}`, import.meta.url).href };
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  provider = gpu ? "webgpu" : "wasm";
}

async function session(file) {
  if (!sessions.has(file)) {
    const url = new URL(`./model/${file}`, import.meta.url).href;
    sessions.set(file, await ort.InferenceSession.create(url, { executionProviders: [provider], logSeverityLevel: 3 }));
  }
  return sessions.get(file);
}

async function run(file, feeds) {
  const model = await session(file);
  const inputs = Object.fromEntries(model.inputNames.map((name) => [name, feeds[name]]));
  return model.run(inputs);
}

const tensor = ({ data, dims }) => new ort.Tensor("float32", data, dims);
const plain = (value) => ({ data: value.data, dims: value.dims });

const calls = {
  // Load the record and the runtime. cpu: do without WebGPU.
  async start({ cpu }) {
    record = await (await fetch(new URL("./model/drit.json", import.meta.url))).json();
    const adapter = !cpu && navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
    await load(Boolean(adapter));
    return { record, provider };
  },

  // Encode an image; a method without styles has translated it then.
  async encode({ direction, image }) {
    const graphs = record.directions[direction];
    if (graphs.translate) return plain((await run(graphs.translate, { image: tensor(image) })).images);
    prepared = await run(graphs.content, { image: tensor(image) });
    return null;
  },

  // The image that was encoded last, in one style.
  async render({ direction, style }) {
    const styles = new ort.Tensor("float32", Float32Array.from(style), [1, style.length]);
    return plain((await run(record.directions[direction].render, { ...prepared, styles })).images);
  },

  // The style of an exemplar.
  async style({ direction, image }) {
    return Array.from((await run(record.directions[direction].style, { image: tensor(image) })).styles.data);
  },
};

// One call after another: they share the runtime and what is prepared.
let queue = Promise.resolve();
self.onmessage = ({ data: { id, name, values } }) => {
  queue = queue.then(async () => {
    try {
      self.postMessage({ id, result: await calls[name](values) });
    } catch (error) {
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
