// Loads the engine that the address asks for, answers once, and then as often as it is asked to. Counts what it makes.

const made = {};
const counted = [
  [GPUDevice.prototype, /^create(?!CommandEncoder)/],
  [GPUComputePassEncoder.prototype, /^dispatch/],
  [GPUQueue.prototype, /^submit/],
];
for (const [prototype, wanted] of counted) {
  for (const name of Object.getOwnPropertyNames(prototype).filter((n) => wanted.test(n))) {
    const original = prototype[name];
    prototype[name] = function (...args) {
      made[name] = (made[name] ?? 0) + 1;
      return original.apply(this, args);
    };
  }
}

const [engine, model] = location.hash.slice(1).split('/');
const image = new Float32Array(await (await fetch(`${model}/image.bin`)).arrayBuffer());
const shape = (await (await fetch(`${model}/layers.json`)).json()).shape;
const { load } = await import(`./${engine}.js`);
const call = await load(model, shape);
const answer = await call(image);
const first = performance.now();

window.measure = async (count) => {
  const times = [];
  const before = { ...made };
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await call(image);
    times.push(performance.now() - start);
  }
  const each = Object.fromEntries(Object.keys(made).map((key) => [key, (made[key] - (before[key] ?? 0)) / count]));
  return { times, each };
};
window.result = { first, answer: [...answer] };
document.documentElement.dataset.state = 'ready';
