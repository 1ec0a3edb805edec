import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import type { EventRecord } from './ports.js';
import { EventHub, silentLog } from './node-events.js';

const decided: EventRecord = { name: 'round decided', level: 'debug', fields: { version: 3 } };

describe('a listening', () => {
  it('ends by its signal, by its function and by `using`, each once', () => {
    const hub = new EventHub(silentLog);
    const heard: string[] = [];
    const controller = new AbortController();
    hub.on('round decided', () => void heard.push('by signal'), { signal: controller.signal });
    const stop = hub.on('round decided', () => void heard.push('by call'));
    {
      using _listening = hub.on('*', () => void heard.push('by using'));
      hub.record(decided);
    }
    expect(heard).toEqual(['by signal', 'by call', 'by using']);
    controller.abort();
    stop();
    stop();
    hub.record(decided);
    expect(heard).toHaveLength(3);
    expect(hub.wants('round decided', 'debug'), 'nobody is left').toBe(false);
  });

  it('is one for each call, also of one function, and none after an abort', () => {
    const hub = new EventHub(silentLog);
    let heard = 0;
    const listener = (): void => {
      heard += 1;
    };
    const stop = hub.on('round decided', listener);
    hub.on('round decided', listener);
    hub.on('round decided', listener, { signal: AbortSignal.abort() });
    hub.record(decided);
    expect(heard).toBe(2);
    stop();
    hub.record(decided);
    expect(heard).toBe(3);
  });
});

describe('a diagnostics channel', () => {
  it('carries its event while somebody subscribes, and asks for none otherwise', () => {
    const hub = new EventHub(silentLog, { role: 'slave', node: 's1' });
    const heard: unknown[] = [];
    const subscriber = (message: unknown): void => void heard.push(message);
    expect(hub.wants('round decided', 'debug')).toBe(false);
    subscribe('lockstep:slave:round-decided', subscriber);
    expect(hub.wants('round decided', 'debug')).toBe(true);
    expect(hub.wants('exposed', 'debug')).toBe(false);
    hub.record(decided);
    unsubscribe('lockstep:slave:round-decided', subscriber);
    hub.record(decided);
    expect(heard).toEqual([
      { role: 'slave', node: 's1', name: 'round decided', level: 'debug', fields: { version: 3 } },
    ]);
    expect(hub.wants('round decided', 'debug')).toBe(false);
  });
});
