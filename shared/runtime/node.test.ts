import { describe, expect, it } from 'vitest';
import { noEpoch } from '../protocol/kernel/ids.js';
import { fakeNode } from '../../tests/integration/process/fake-ports.js';
import { UserCalls } from './node-calls.js';
import type { CallEnd } from './node-calls.js';
import { Driver } from './node-driver.js';
import { EventHub } from './node-events.js';
import type { Participant } from './node.js';

function participant(overrides: Partial<Participant> = {}): Participant {
  return { onMessage: () => undefined, onTick: () => undefined, nextWakeMs: () => Infinity, ...overrides };
}

const survey = { kind: 'survey' } as const;

describe('a node', () => {
  it('queues work that comes up in a turn, and sends everything in one go before the turn ends', () => {
    const { node, endpoint, datagrams } = fakeNode('a');
    const order: string[] = [];
    node.enter(() => {
      node.enter(() => {
        order.push('second');
        node.send({ to: 'all', dataSet: 'x', epoch: noEpoch, message: survey });
      });
      order.push('first');
      node.send({ to: 'all', dataSet: 'x', epoch: noEpoch, message: survey });
    });
    expect(order).toEqual(['first', 'second']);
    expect(endpoint.sent).toHaveLength(2);
    expect(datagrams()).toBe(1);
  });

  it('lets what was sent linger until the caller who was told has gone on, and sends both in one go', () => {
    const { node, clock, endpoint, datagrams } = fakeNode('a');
    const send = (): void => {
      node.send({ to: 'all', dataSet: 'x', epoch: noEpoch, message: survey });
    };
    node.enter(() => {
      send();
      node.linger(() => undefined);
    });
    expect(datagrams()).toBe(0);
    node.enter(send);
    expect(datagrams()).toBe(1);
    expect(endpoint.sent).toHaveLength(2);
    clock.advance(0);
    expect(datagrams(), 'nothing was left').toBe(1);
  });

  it('lingers no longer than this turn of the event loop, and lets last words in', () => {
    const { node, clock, endpoint, datagrams } = fakeNode('a');
    node.enter(() => {
      node.linger(() => {
        node.send({ to: 'all', dataSet: 'x', epoch: noEpoch, message: survey });
      });
    });
    expect(endpoint.sent).toHaveLength(0);
    clock.advance(0);
    expect(endpoint.sent).toHaveLength(1);
    expect(datagrams()).toBe(1);
  });

  it('gathers over several turns until all that has arrived is read, and sends it in one go', () => {
    const { node, clock, endpoint, datagrams } = fakeNode('a');
    const send = (): void => {
      node.send({ to: 'all', dataSet: 'x', epoch: noEpoch, message: survey });
    };
    node.enter(() => {
      node.gather();
      send();
    });
    node.enter(() => {
      node.gather();
      send();
    });
    node.enter(() => undefined);
    expect(datagrams()).toBe(0);
    clock.advance(0);
    expect(datagrams()).toBe(1);
    expect(endpoint.sent).toHaveLength(2);
    node.enter(send);
    expect(datagrams(), 'and no longer').toBe(2);
    node.enter(() => {
      node.gather();
      send();
      node.flush();
      expect(datagrams(), 'a callback that may take long lets it go').toBe(3);
    });
  });

  it('routes by data set, and counts what nobody here wants', () => {
    const { node, deliver } = fakeNode('a');
    const heard: string[] = [];
    node.attach('x', participant({ onMessage: (envelope) => void heard.push(envelope.message.kind) }));
    deliver('b', 'x', survey);
    deliver('b', 'y', survey);
    node.detach('x');
    deliver('b', 'x', survey);
    expect(heard).toEqual(['survey']);
    expect(node.unroutedEnvelopes).toBe(2);
  });

  it('keeps one timer for all, and forgets no deadline of a participant that had nothing to do', () => {
    const { node, clock } = fakeNode('a');
    const woken: string[] = [];
    const wakes = new Map([
      ['x', 1010],
      ['y', 1030],
    ]);
    for (const name of ['x', 'y']) {
      const waker = participant({
        nextWakeMs: () => wakes.get(name) ?? Infinity,
        onTick: (nowMs) => {
          woken.push(`${name}@${nowMs}`);
          wakes.delete(name);
        },
      });
      node.attach(name, waker);
      node.enter(() => {
        node.touch(waker);
      });
    }
    expect(clock.timers).toBe(1);
    clock.advance(15);
    expect(woken).toEqual(['x@1010']);
    expect(clock.timers).toBe(1);
    clock.advance(50);
    expect(woken).toEqual(['x@1010', 'y@1030']);
    expect(clock.timers).toBe(0);
  });

  it('does nothing more after stop: no timer, no answer, no packet', () => {
    const { node, clock, deliver, datagrams } = fakeNode('a');
    const heard: string[] = [];
    const waker = participant({
      nextWakeMs: () => 1010,
      onTick: () => void heard.push('tick'),
      onMessage: () => void heard.push('message'),
    });
    node.attach('x', waker);
    node.enter(() => {
      node.touch(waker);
    });
    node.stop();
    clock.advance(100);
    deliver('b', 'x', survey);
    node.enter(() => {
      heard.push('work');
    });
    expect(heard).toEqual([]);
    expect(datagrams()).toBe(0);
  });
});

describe('a driver', () => {
  it('executes all effects of an input before the next input, however the answers come', () => {
    const { node } = fakeNode('a');
    const order: string[] = [];
    const driver: Driver<string, string> = new Driver<string, string>(node, 'x', {
      received: () => 'received',
      tick: 'tick',
      execute: (effect) => {
        order.push(`effect ${effect}`);
        if (effect === 'ask') driver.submit('answer');
      },
    });
    driver.submit('early');
    driver.start(
      {
        step: (input) => {
          order.push(`input ${input}`);
          return input === 'early' ? ['ask', 'send'] : [];
        },
        nextWakeMs: () => Infinity,
      },
      'start',
    );
    expect(order).toEqual(['input start', 'input early', 'effect ask', 'effect send', 'input answer']);
  });

  function withInstant(atInstant?: (nowMs: number) => boolean) {
    const { node, clock } = fakeNode('a');
    const exactly: number[] = [];
    const ordinary = clock.at.bind(clock);
    clock.exactlyAt = (atMs, callback) => {
      exactly.push(atMs);
      return ordinary(atMs, callback);
    };
    const inputs: string[] = [];
    const machine = {
      instantMs: 1010.25,
      step: (input: string): readonly string[] => {
        inputs.push(input);
        return [];
      },
      nextWakeMs: () => Infinity,
      nextInstantMs: (): number => machine.instantMs,
    };
    const driver = new Driver<string, string>(node, 'x', {
      received: () => 'received',
      tick: 'tick',
      execute: () => undefined,
      ...(atInstant === undefined ? {} : { atInstant }),
    });
    driver.start(machine, 'start');
    return { node, clock, exactly, inputs, machine, driver };
  }

  it('meets the instant of its core exactly, wherever it moves, and asks for it once while it stays', () => {
    const { clock, exactly, inputs, machine, driver } = withInstant();
    machine.instantMs = 1010.2500001;
    driver.submit('other');
    expect(exactly).toEqual([1010.25]);
    machine.instantMs = 1005.75;
    driver.submit('other');
    expect(exactly).toEqual([1010.25, 1005.75]);
    clock.advance(5);
    expect(inputs).not.toContain('tick');
    machine.instantMs = 1020.5;
    clock.advance(1);
    expect(inputs.at(-1)).toBe('tick');
    expect(exactly).toEqual([1010.25, 1005.75, 1020.5]);
    machine.instantMs = Infinity;
    driver.submit('other');
    clock.advance(100);
    expect(inputs.filter((input) => input === 'tick')).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it('leaves the instant to who drives it, and the core out of it', () => {
    const metMs: number[] = [];
    const { clock, inputs } = withInstant((nowMs) => metMs.push(nowMs) > 0);
    clock.advance(50);
    expect(metMs).toEqual([1010.25]);
    expect(inputs).toEqual(['start']);
  });

  it('that has ended, or whose node has stopped, meets none', () => {
    for (const end of ['driver', 'node'] as const) {
      let met = 0;
      const { node, clock, driver } = withInstant(() => (met += 1) > 0);
      if (end === 'driver') driver.end();
      else node.stop();
      clock.advance(50);
      expect(met).toBe(0);
    }
  });
});

describe('calls of a user layer', () => {
  function calls(): { run: UserCalls; ends: CallEnd<unknown>[]; clock: ReturnType<typeof fakeNode>['clock'] } {
    const { node, clock } = fakeNode('a');
    return {
      run: new UserCalls(clock, (work) => {
        node.enter(work);
      }),
      ends: [],
      clock,
    };
  }

  it('answer at once when the callback does', () => {
    const { run, ends } = calls();
    run.run({ name: 'prepare', limitMs: 10, call: () => 7 }, (end) => ends.push(end));
    run.run(
      {
        name: 'prepare',
        limitMs: 10,
        call: () => {
          throw new Error('no disk');
        },
      },
      (end) => ends.push(end),
    );
    expect(ends).toEqual([
      { ok: true, value: 7 },
      { ok: false, reason: 'prepare threw: no disk', late: false },
    ]);
  });

  it('tell twice of a call past its time, and start no other before its real end', async () => {
    const { run, ends, clock } = calls();
    let release: (value: string) => void = () => undefined;
    const started: string[] = [];
    const hanging = new Promise<string>((resolve) => {
      release = resolve;
    });
    run.run({ name: 'commit', limitMs: 10, call: () => hanging }, (end) => ends.push(end));
    run.run({ name: 'delta', limitMs: null, call: () => started.push('delta') }, (end) => ends.push(end));
    clock.advance(11);
    expect(ends).toEqual([{ ok: false, reason: 'commit took longer than 10 ms', late: true }]);
    expect(started).toEqual([]);
    release('done');
    await hanging;
    await Promise.resolve();
    expect(ends.slice(1)).toEqual([
      { ok: true, value: 'done' },
      { ok: true, value: 1 },
    ]);
    expect(run.busy).toBe(false);
  });

  it('give up a call that could not even start in its time', () => {
    const { run, ends, clock } = calls();
    run.run({ name: 'commit', limitMs: null, call: () => new Promise(() => undefined) }, (end) => ends.push(end));
    run.run({ name: 'delta', limitMs: 10, call: () => 1 }, (end) => ends.push(end));
    clock.advance(11);
    expect(ends).toEqual([
      { ok: false, reason: "delta could not start: an earlier call hasn't returned", late: false },
    ]);
  });
});

describe('events', () => {
  it('reach the log and those who listen; one that throws disturbs nobody', () => {
    const log: string[] = [];
    const heard: string[] = [];
    const hub = new EventHub({ record: (event) => void log.push(event.name) });
    hub.on('decided', () => {
      throw new Error('mine');
    });
    const stop = hub.on('*', (event) => void heard.push(event.name));
    hub.record({ name: 'decided', level: 'info', fields: {} });
    stop();
    hub.record({ name: 'decided', level: 'info', fields: {} });
    expect(heard).toEqual(['decided']);
    expect(log).toEqual(['decided', 'listener-failed', 'decided', 'listener-failed']);
  });
});
