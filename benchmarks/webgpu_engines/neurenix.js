// The model's own bundle; images go in channels first.
import { channelsFirst } from './channels.js';

export async function load(name, shape) {
  const { loadModel } = await import(`./${name}/webassembly_model/${name}.js`);
  const model = await loadModel(undefined, { device: 'webgpu' });
  const [input] = model.inputs;
  const [output] = model.outputs;
  return async (image) => {
    const answer = await model.forward({ [input.name]: channelsFirst(image, shape) });
    if (model.device !== 'webgpu') throw new Error(`answered on ${model.device}`);
    return answer[output.name].data;
  };
}
