// Shaders to pipelines, and what they are bound to. An error of a shader quotes its compiler.

import { NeurenixError } from './errors.js';
import { message, scoped } from './gpu-tensor.js';

/** @import { DispatchRow, ShaderRow } from './internal.js' */

/** @typedef {{ group: GPUBindGroupLayout, whole: GPUPipelineLayout }} Layout */

/**
 * The layout of each shader; those that are alike share one.
 * @param {GPUDevice} device
 * @param {readonly ShaderRow[]} shaders
 * @returns {Layout[]}
 */
export function layoutsOf(device, shaders) {
  const known = /** @type {Map<string, Layout>} */ (new Map());
  return shaders.map(({ bindings, params }) => {
    const kinds = [
      ...bindings.map((access) => (access === 'write' ? 'storage' : 'read-only-storage')),
      ...(params ? ['uniform'] : []),
    ];
    const key = kinds.join();
    const layout = known.get(key) ?? makeLayout(device, /** @type {GPUBufferBindingType[]} */ (kinds));
    known.set(key, layout);
    return layout;
  });
}

/**
 * @param {GPUDevice} device
 * @param {readonly GPUBufferBindingType[]} kinds
 */
function makeLayout(device, kinds) {
  const visibility = GPUShaderStage.COMPUTE;
  const group = device.createBindGroupLayout({
    entries: kinds.map((type, binding) => ({ binding, visibility, buffer: { type } })),
  });
  return { group, whole: device.createPipelineLayout({ bindGroupLayouts: [group] }) };
}

/**
 * @param {GPUDevice} device
 * @param {ShaderRow} shader
 * @param {string} code
 * @param {Layout} layout
 * @param {string} model
 */
export async function makePipeline(device, { name }, code, layout, model) {
  const { result, problem } = scoped(device, () => {
    const module = device.createShaderModule({ label: name, code });
    const descriptor = { label: name, layout: layout.whole, compute: { module, entryPoint: 'main' } };
    return { module, pipeline: device.createComputePipelineAsync(descriptor) };
  });
  const [error, pipeline] = await Promise.all([problem, result.pipeline.catch((cause) => ({ cause }))]);
  if (!error && !('cause' in pipeline)) return pipeline;
  const cause = error ?? /** @type {{ cause: unknown }} */ (pipeline).cause;
  const said = await result.module.getCompilationInfo().catch(() => ({ messages: [] }));
  const words = said.messages.filter(({ type }) => type === 'error')
    .map(({ lineNum, linePos, message: text }) => `${lineNum}:${linePos} ${text}`);
  throw new NeurenixError('compile_failed',
    `${model}: the shader '${name}' does not compile on this GPU: ${words.join('; ') || message(cause)}.`, { cause });
}

/**
 * @param {GPUDevice} device
 * @param {Layout} layout
 * @param {DispatchRow} row
 * @param {readonly GPUBuffer[]} buffers
 * @param {GPUBuffer} paramsBuffer
 * @param {number} block how many bytes the params take
 */
export function bindGroupOf(device, { group }, { bindings, at }, buffers, paramsBuffer, block) {
  const storage = bindings.map(({ buffer, offset, size }) => ({ buffer: buffers[buffer], offset, size }));
  const params = block ? [{ buffer: paramsBuffer, offset: at, size: block }] : [];
  return device.createBindGroup({
    layout: group,
    entries: [...storage, ...params].map((resource, binding) => ({ binding, resource })),
  });
}
