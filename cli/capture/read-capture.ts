import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import { ByteSource } from './byte-source.js';
import type { CaptureItem } from './captured.js';
import { pcapFormat, pcapItems } from './pcap.js';
import { pcapngItems, sectionHeader } from './pcapng.js';

/**
 * The packets of a capture file, as tcpdump (pcap) or Wireshark (pcapng) writes it, in the order of the file and with
 * bounded memory. Rejects with `bad-input` when it is neither; damage further on is an item of its own, the last one.
 */
export async function* readCapture(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<CaptureItem> {
  const source = new ByteSource(chunks);
  const magic = await source.take(4);
  if (magic?.readUInt32BE(0) === sectionHeader) {
    yield* pcapngItems(source);
    return;
  }
  const format = magic === null ? null : pcapFormat(magic);
  if (format === null) {
    throw new LockstepError(
      'bad-input',
      `${name} is no capture: it begins with neither the bytes of pcap nor those of pcapng; make one with tcpdump -w or dumpcap -w`,
    );
  }
  yield* pcapItems(source, format);
}
