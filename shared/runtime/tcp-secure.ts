import { sign, verify } from 'node:crypto';
import {
  connect as connectTls,
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import type { GroupKeys } from '../protocol/secure/keys.js';

/**
 * Streams between holders of the group's keys: TLS 1.3 with a pre-shared key, and a key exchange of its own for each
 * connection, so that a key that leaks later opens nothing recorded before. The key id is the identity.
 */
const tls = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // Those that OpenSSL allows with a key from a callback.
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const;

export function createSecureServer(keys: () => GroupKeys, handshakeMs: number): TlsServer {
  return createTlsServer({
    ...tls,
    allowHalfOpen: true,
    noDelay: true,
    handshakeTimeout: handshakeMs,
    pskCallback: (_socket, identity) => keys().byId.get(Number(identity))?.stream ?? null,
  });
}

export function connectSecurely(target: { readonly host: string; readonly port: number }, keys: GroupKeys): TLSSocket {
  const { id, stream } = keys.current;
  const socket = connectTls({
    ...tls,
    ...target,
    // There is no certificate: who doesn't hold the key doesn't get through the handshake.
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: stream, identity: String(id) }),
  });
  socket.setNoDelay(true);
  return socket;
}

/** A key id (2 bytes) and an Ed25519 signature. */
export const proofBytes = 66;
const domain = Buffer.from('lockstep stream\0', 'latin1');

/** Says that a master serves this very connection; null when this node holds no master's key. */
export function proofOf(socket: TLSSocket, { current }: GroupKeys): Buffer | null {
  if (current.masterPrivate === null) return null;
  const proof = Buffer.alloc(proofBytes);
  proof.writeUInt16BE(current.id);
  proof.set(sign(null, boundTo(socket), current.masterPrivate), 2);
  return proof;
}

export function isProven(socket: TLSSocket, keys: GroupKeys, proof: Uint8Array): boolean {
  if (proof.length !== proofBytes) return false;
  const key = keys.byId.get(((proof[0] ?? 0) << 8) | (proof[1] ?? 0));
  return key !== undefined && verify(null, boundTo(socket), key.masterPublic, proof.subarray(2));
}

/** What both ends of one connection know, and nobody of any other: a proof can't be carried over. */
function boundTo(socket: TLSSocket): Buffer {
  return Buffer.concat([domain, socket.exportKeyingMaterial(32, 'EXPORTER-lockstep-master', Buffer.alloc(0))]);
}
