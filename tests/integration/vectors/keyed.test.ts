import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { KeyedSeal } from '../../../shared/protocol/secure/keyed-seal.js';
import { Endpoint } from '../../../shared/protocol/stream/endpoint.js';
import type { Peer } from '../../../shared/protocol/kernel/ids.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import { keyFileText } from '../../../shared/runtime/key-files.js';
import { wireVersion } from '../../../shared/protocol/wire/header.js';
import { testKeyFile, testKeys } from '../sim/keys.js';
import { dataSet, delta, epoch, receiver, samples, sender, tip } from './samples.js';

/**
 * Golden vectors of keyed datagrams, and the key files that open them. `UPDATE_VECTORS=1` writes those that are missing
 * and never touches one that exists.
 */
const folder = fileURLToPath(new URL(`keyed-v${wireVersion}/`, import.meta.url));
const bytesPerLine = 32;

function endpointOf(self: Peer, role: 'master' | 'slave'): Endpoint {
  const seal = new KeyedSeal({ self, keys: testKeys(role), startedMs: 1_700_000_000_000, salt: '0123456789abcdef' });
  return new Endpoint({ self, seal, maxDatagramBytes: 1400, windowBytes: 1 << 20 });
}

function datagramsOf(self: Peer, role: 'master' | 'slave', messages: readonly Message[]): readonly Uint8Array[] {
  const endpoint = endpointOf(self, role);
  for (const message of messages) endpoint.send({ to: 'all', dataSet, epoch, message }, 0);
  return endpoint.takeDatagrams(0).map(({ bytes }) => bytes);
}

function sample(name: string): Message {
  const message = samples[name];
  if (message === undefined) throw new Error(`no sample ${name}`);
  return message;
}

const large = Uint8Array.from({ length: 3000 }, (_, at) => (at * 7) & 0xff);
const announce: Message = { kind: 'announce', from: tip(5), to: tip(6), content: { kind: 'change', change: delta(5, 6, large) } };

const built: Readonly<Record<string, { readonly messages: readonly Message[]; readonly datagrams: readonly Uint8Array[]; readonly from: Peer; readonly to: Endpoint }>> = {
  'unsigned-vote': vectorOf(receiver, [sample('vote-yes')]),
  'signed-heartbeat': vectorOf(sender, [sample('heartbeat')]),
  'signed-change-of-300-bytes': vectorOf(sender, [sample('announce-change')]),
  'packed-commit-and-prepare': vectorOf(sender, [sample('commit'), sample('prepare-change')]),
  'fragments-of-a-signed-change': vectorOf(sender, [announce]),
};

function vectorOf(from: Peer, messages: readonly Message[]): (typeof built)[string] {
  const role = from === sender ? 'master' : 'slave';
  const to = role === 'master' ? endpointOf(receiver, 'slave') : endpointOf(sender, 'master');
  return { messages, datagrams: datagramsOf(from, role, messages), from, to };
}

/** One datagram after another, a blank line between them. */
function textOf(datagrams: readonly Uint8Array[]): string {
  const lines = (bytes: Uint8Array): readonly string[] =>
    Buffer.from(bytes).toString('hex').match(new RegExp(`.{1,${bytesPerLine * 2}}`, 'g')) ?? [];
  return datagrams.map((bytes) => `${lines(bytes).join('\n')}\n`).join('\n');
}

const files: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(built).map(([name, { datagrams }]) => [`${name}.hex`, textOf(datagrams)])),
  'master.key': keyFileText(testKeyFile('master')),
  'slave.key': keyFileText(testKeyFile('slave')),
};

if (process.env['UPDATE_VECTORS'] === '1') {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) if (!existsSync(folder + name)) writeFileSync(folder + name, text);
}

describe('golden vectors with keys', () => {
  test('there is a file for each, and no other', () => {
    expect(readdirSync(folder).sort()).toEqual(Object.keys(files).sort());
  });

  test.each(Object.keys(files))('%s is made of these very bytes', (name) => {
    expect(files[name]).toBe(readFileSync(folder + name, 'utf8'));
  });

  test.each(Object.entries(built))('%s is taken for what it says', (name, { messages, from, to }) => {
    const golden = readFileSync(`${folder}${name}.hex`, 'utf8').split('\n\n');
    const heard = golden.flatMap((text) => to.receive(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'), '10.0.0.1:1', 0));
    expect(heard.map(({ message }) => message.kind)).toEqual(messages.map(({ kind }) => kind));
    for (const envelope of heard) expect(envelope).toMatchObject({ from, dataSet, epoch });
    expect(Object.values(to.counters.rejected).every((count) => count === 0)).toBe(true);
  });
});
