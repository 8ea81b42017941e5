// Lints the runtime and the pages as they ship, and the tests beside this file.

import js from '@eslint/js';
import globals from 'globals';

const rules = {
  ...js.configs.recommended.rules,
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'object-shorthand': 'error',
  eqeqeq: 'error',
  curly: ['error', 'multi-line'],
  'no-console': ['error', { allow: ['info'] }],
  'no-shadow': 'error',
  'no-promise-executor-return': 'off',
  'no-unused-vars': 'error',
  'no-restricted-globals': ['error', 'Blob', 'XMLHttpRequest', 'Function'],
};

export default [
  {
    files: ['templates/runtime/**/*.js'],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'module',
      globals: {
        ...globals['shared-node-browser'], document: 'readonly', location: 'readonly', GPUBufferUsage: 'readonly',
        GPUMapMode: 'readonly', GPUShaderStage: 'readonly',
      },
    },
    rules: { ...rules, 'max-len': ['error', { code: 110, ignoreTemplateLiterals: true, ignoreStrings: true }] },
  },
  {
    files: ['templates/demo/**/*.js', 'templates/site/offline.js', 'templates/site/changing.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: globals.browser },
    rules: {
      ...rules,
      'max-len': ['error', { code: 130, ignoreTemplateLiterals: true, ignoreStrings: true }],
      'no-restricted-globals': ['error', 'XMLHttpRequest', 'Function'],
      'no-restricted-properties': ['error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write'].map((property) => ({ property }))],
    },
  },
  {
    files: ['templates/site/worker.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'script', globals: globals.serviceworker },
    rules: { ...rules, 'max-len': ['error', { code: 130, ignoreTemplateLiterals: true }] },
  },
  {
    files: ['tests/js/**/*.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: globals.node },
    rules,
  },
];
