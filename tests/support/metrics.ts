import type { Registry } from 'prom-client';

export interface MetricSeen {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

/** What somebody who scrapes sees: the text format, read back. */
export function parseMetrics(text: string): MetricSeen[] {
  const seen: { name: string; type: string; help: string; samples: MetricSeen['samples'][number][] }[] = [];
  for (const line of text.split('\n')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (word === 'HELP') seen.push({ name, help: rest, type: '', samples: [] });
    const last = seen.at(-1);
    if (last === undefined || line === '' || word === 'HELP') continue;
    if (word === 'TYPE') {
      last.type = rest;
      continue;
    }
    const sample = /^([a-z_:0-9]+)(?:\{(.*)\})? (\S+)$/i.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const labels = Object.fromEntries(
      [...(sample[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', value = '']) => [key, value]),
    );
    last.samples.push({ name: sample[1] ?? '', labels, value: Number(sample[3]) });
  }
  return seen;
}

export async function scrape(registry: Registry): Promise<MetricSeen[]> {
  return parseMetrics(await registry.metrics());
}

/** The one sample with these labels; undefined when there is none. */
export function valueOf(
  metrics: readonly MetricSeen[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = metrics
    .flatMap(({ samples }) => samples)
    .filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} fit ${JSON.stringify(labels)}`);
  return found[0]?.value;
}
