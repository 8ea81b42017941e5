// LiteRT.js, WebGPU.
import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';

export async function load(name, shape) {
  await loadLiteRt('./node_modules/@litertjs/core/wasm/');
  const model = await loadAndCompile(`${name}/model.tflite`, { accelerator: 'webgpu' });
  return async (image) => {
    const input = new Tensor(image, shape);
    const [output] = await model.run(input);
    input.delete();
    const moved = await output.moveTo('wasm');
    const answer = moved.toTypedArray().slice();
    moved.delete();
    return answer;
  };
}
