/** One packet as a capture file holds it, with the headers of its link. */
export interface CapturedPacket {
  readonly kind: 'packet';
  /** When it was captured; null when the file gives no time that a calendar knows. */
  readonly time: CaptureTime | null;
  /** What the bytes begin with: a LINKTYPE number of the tcpdump registry. */
  readonly linkType: number;
  readonly bytes: Buffer;
  /** Its length on the wire: more than `bytes` when the capture kept the beginning of each packet only. */
  readonly wireBytes: number;
}

/** Since 1970-01-01 UTC. */
export interface CaptureTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** The file ends, or stops making sense, before its end. Nothing follows. */
export interface CutCapture {
  readonly kind: 'cut';
  readonly text: string;
}

export type CaptureItem = CapturedPacket | CutCapture;

/** More than any snapshot length in use; a larger one is damage, found before memory is taken for it. */
export const maxCapturedBytes = 16 * 1024 * 1024;

/** What a JavaScript date can show. */
const maxSeconds = 8.64e12;

export function captureTime(seconds: number, nanoseconds: number): CaptureTime | null {
  return Math.abs(seconds) < maxSeconds && nanoseconds < 1e9 ? { seconds, nanoseconds } : null;
}

/** `2026-11-21T12:00:00.123456Z`, or `–` when there is none. */
export function timeText(time: CaptureTime | null): string {
  if (time === null) return '–';
  const whole = new Date(time.seconds * 1000).toISOString().replace(/\.\d+Z$/, '');
  const microseconds = Math.floor(time.nanoseconds / 1000);
  return `${whole}.${String(microseconds).padStart(6, '0')}Z`;
}
