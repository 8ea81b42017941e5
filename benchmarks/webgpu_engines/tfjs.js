// TensorFlow.js, WebGPU: each layer one fused op, as its converter makes them.
for (const path of ['tfjs/dist/tf.min.js', 'tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js']) {
  await new Promise((resolve, reject) => {
    const script = document.createElement('script');
    Object.assign(script, { src: `./node_modules/@tensorflow/${path}`, onload: resolve, onerror: reject });
    document.head.append(script);
  });
}

export async function load(name, shape) {
  const { tf } = window;
  if (!await tf.setBackend('webgpu')) throw new Error('TensorFlow.js has no WebGPU here');
  await tf.ready();
  const { layers } = await (await fetch(`${name}/layers.json`)).json();
  const data = new Float32Array(await (await fetch(`${name}/layers.bin`)).arrayBuffer());
  let at = 0;
  const taken = (...size) => {
    const count = size.reduce((a, b) => a * b);
    at += count;
    return tf.tensor(data.slice(at - count, at), size);
  };
  const rows = layers.map((layer) => {
    if (!layer.shape.length) return layer;
    const outputs = layer.kind === 'depthwise' ? layer.shape[2] : layer.shape.at(-1);
    return { ...layer, filter: taken(...layer.shape), bias: taken(outputs), activation: layer.activation || 'linear' };
  });
  const forward = (image) => tf.tidy(() => {
    let x = tf.tensor(image, shape);
    const outputs = [];
    for (const { kind, filter, bias, stride, activation, add } of rows) {
      const common = { bias, activation };
      if (kind === 'mean') x = x.mean([1, 2]);
      else if (kind === 'dense') x = tf.fused.matMul({ a: x, b: filter, ...common });
      else {
        const convolve = kind === 'depthwise' ? tf.fused.depthwiseConv2d : tf.fused.conv2d;
        x = convolve({ x, filter, strides: stride, pad: 'same', ...common });
      }
      if (add !== null) x = x.add(outputs[add]);
      outputs.push(x);
    }
    return x;
  });
  return async (image) => {
    const answer = forward(image);
    const values = await answer.data();
    answer.dispose();
    return values;
  };
}
