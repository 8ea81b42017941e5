// The SHA-256 for plain HTTP, against Node's.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { sha256, sha256Plain } from '../../templates/runtime/neurenix.runtime/integrity.js';

test('the plain SHA-256 equals the platform\'s for every length around the block borders', () => {
  for (const length of [0, 1, 3, 31, 32, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, 100_003]) {
    const bytes = randomBytes(length);
    assert.equal(Buffer.from(sha256Plain(bytes)).toString('hex'), createHash('sha256').update(bytes).digest('hex'), `${length} bytes`);
  }
});

test('the plain SHA-256 reads a view at its own offset', () => {
  const bytes = new Uint8Array(randomBytes(300)).subarray(37, 237);
  assert.equal(Buffer.from(sha256Plain(bytes)).toString('hex'), createHash('sha256').update(bytes).digest('hex'));
});

test('sha256 gives hex', async () => {
  assert.equal(await sha256(new Uint8Array()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});
