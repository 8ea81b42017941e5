// onnxruntime-web, WebGPU; images go in channels first.
import * as ort from './node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs';
import { channelsFirst } from './channels.js';

export async function load(name, shape) {
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(`${name}/model.onnx`, { executionProviders: ['webgpu'] });
  const [n, height, width, channels] = shape;
  const dims = channels === undefined ? shape : [n, channels, height, width];
  return async (image) => {
    const answer = await session.run({ image: new ort.Tensor('float32', channelsFirst(image, shape), dims) });
    return answer[session.outputNames[0]].data;
  };
}
