import type { FastifyInstance } from 'fastify';
import { sendProblem } from '../../shared/http/problem.js';
import { liveBounds, LiveFeed, type LiveListener, type LiveReading } from './live.js';

/**
 * `GET /v1/live`: server-sent events for dashboards. Ends with the event `bye` when the server closes.
 */
export function addLiveRoute(
  server: FastifyInstance,
  source: { readonly node: string; readonly read: () => readonly LiveReading[] },
): void {
  const feed = new LiveFeed(source.node, source.read);
  // Before the server waits for its connections: these would never end by themselves.
  server.addHook('preClose', (done) => {
    feed.close();
    done();
  });
  // No HEAD: it would listen, and hear nothing.
  server.get('/v1/live', { exposeHeadRoute: false }, (_request, reply) => {
    const { raw } = reply;
    const listener: LiveListener = {
      get unreadBytes() {
        return raw.writableLength;
      },
      write: (bytes) => {
        if (!raw.headersSent) raw.writeHead(200, eventStreamHeaders);
        raw.write(bytes);
      },
      end: () => {
        raw.end();
      },
      cut: () => {
        raw.destroy();
      },
    };
    if (!feed.add(listener)) {
      const message = `this master has ${liveBounds.listeners} dashboards open, or is closing; close one, or ask again in a moment`;
      sendProblem(reply, { status: 503, code: 'queue-full', message });
      return;
    }
    reply.hijack();
    raw.once('close', () => {
      feed.remove(listener);
    });
  });
}

const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // A proxy that collects answers before it passes them on would make a live feed of the past.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};
