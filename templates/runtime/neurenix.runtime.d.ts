// The types of neurenix.runtime.js: what it exports, and the types that its users name.

export * from './neurenix.runtime/types.js';
