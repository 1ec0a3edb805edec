import { request, type IncomingMessage } from 'node:http';

/** A client of a feed that reads what it is told to, and waits for what it wants to see. */
export interface OpenFeed {
  readonly status: number;
  readonly response: IncomingMessage;
  /** Everything so far. */
  readonly text: () => string;
  /** The lines of an NDJSON feed that aren't empty. */
  readonly records: () => readonly FeedLineSeen[];
  /** Resolves when the feed has said enough; rejects with what it said when it hasn't in time. */
  readonly until: (enough: (text: string) => boolean) => Promise<void>;
  readonly untilEnd: () => Promise<void>;
  readonly close: () => void;
}

export interface FeedLineSeen {
  readonly version?: number;
  readonly prior?: number | null;
  readonly operations?: readonly unknown[];
  readonly error?: { readonly code: string; readonly message: string };
  readonly since?: number;
}

const deadlineMs = 8000;

/** Opens a feed; with `paused` nothing is read of it until `response.resume()`. */
export function openFeed(
  url: string,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly paused?: boolean } = {},
): Promise<OpenFeed> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { ...options.headers } }, (response) => {
      let text = '';
      let isOver = false;
      const waiting = new Set<() => void>();
      const news = (): void => {
        for (const look of [...waiting]) look();
      };
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        news();
      });
      if (options.paused === true) response.pause();
      response.on('close', () => {
        isOver = true;
        news();
      });
      response.on('error', () => undefined);
      const wait = (enough: () => boolean, what: string): Promise<void> =>
        new Promise((done, fail) => {
          const late = setTimeout(() => {
            waiting.delete(look);
            fail(new Error(`${what} within ${deadlineMs} ms; the feed said ${text.slice(-2000)}`));
          }, deadlineMs);
          const look = (): void => {
            if (!enough()) return;
            waiting.delete(look);
            clearTimeout(late);
            done();
          };
          waiting.add(look);
          look();
        });
      resolve({
        status: response.statusCode ?? 0,
        response,
        text: () => text,
        records: () => recordsOf(text),
        until: (enough) => wait(() => enough(text), 'not enough was said'),
        untilEnd: () => wait(() => isOver, 'the feed did not end'),
        close: () => asked.destroy(),
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

function recordsOf(text: string): FeedLineSeen[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FeedLineSeen);
}
