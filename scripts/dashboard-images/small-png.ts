import { crc32, deflateSync, inflateSync } from 'node:zlib';

/**
 * A screenshot with its 256 most frequent colours only: flat areas and the edges of letters need no more, and the file gets a
 * third of its size. Takes what Chromium writes: 8 bits for each of red, green and blue (and alpha, which is dropped).
 */
export function smallPng(png: Buffer): Buffer {
  const { width, height, colors } = decode(png);
  const palette = paletteOf(colors);
  const place = new Map(palette.map((color, index) => [color, index]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const color = colors[y * width + x] ?? 0;
      let index = place.get(color);
      if (index === undefined) {
        index = nearest(palette, color);
        place.set(color, index);
      }
      rows[y * (width + 1) + 1 + x] = index;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const entries = Buffer.from(palette.flatMap((color) => [(color >> 16) & 255, (color >> 8) & 255, color & 255]));
  return Buffer.concat([
    png.subarray(0, 8),
    chunk('IHDR', header),
    chunk('PLTE', entries),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function decode(png: Buffer): { readonly width: number; readonly height: number; readonly colors: Uint32Array } {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const samples = png[25] === 6 ? 4 : 3;
  if (png[24] !== 8 || (png[25] !== 2 && png[25] !== 6)) throw new Error('a PNG of another kind than Chromium writes');
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const bytes = inflateSync(Buffer.concat(parts));
  const stride = width * samples;
  const colors = new Uint32Array(width * height);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y += 1) {
    const start = y * (stride + 1);
    const row = Uint8Array.from(bytes.subarray(start + 1, start + 1 + stride));
    unfilter(bytes[start] ?? 0, row, above, samples);
    for (let x = 0; x < width; x += 1) {
      const [red = 0, green = 0, blue = 0] = row.subarray(x * samples, x * samples + 3);
      colors[y * width + x] = (red << 16) | (green << 8) | blue;
    }
    above = row;
  }
  return { width, height, colors };
}

/** The five filters of PNG: each byte was written as its difference from what its neighbours foretell. */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array, samples: number): void {
  for (let at = 0; at < row.length; at += 1) {
    const left = at < samples ? 0 : (row[at - samples] ?? 0);
    const up = above[at] ?? 0;
    const corner = at < samples ? 0 : (above[at - samples] ?? 0);
    const foretold = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
    row[at] = (row[at] ?? 0) + foretold;
  }
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [byLeft, byUp, byCorner] = [left, up, corner].map((value) => Math.abs(estimate - value)) as [
    number,
    number,
    number,
  ];
  if (byLeft <= byUp && byLeft <= byCorner) return left;
  return byUp <= byCorner ? up : corner;
}

/** The most frequent colors, and of the others those that are furthest from them: a small red sign stays red. */
function paletteOf(colors: Uint32Array): readonly number[] {
  const counts = new Map<number, number>();
  for (const color of colors) counts.set(color, (counts.get(color) ?? 0) + 1);
  const sorted = [...counts].sort((one, other) => other[1] - one[1]).map(([color]) => color);
  const palette = sorted.slice(0, 200);
  const others = sorted
    .slice(200)
    .map((color) => ({ color, away: distance(color, palette[nearest(palette, color)] ?? 0) }));
  while (palette.length < 256 && others.length > 0) {
    const furthest = others.reduce((one, other) => (other.away > one.away ? other : one));
    palette.push(furthest.color);
    for (const other of others) other.away = Math.min(other.away, distance(other.color, furthest.color));
  }
  return palette;
}

function nearest(palette: readonly number[], color: number): number {
  let best = 0;
  let bestDistance = Infinity;
  for (const [index, candidate] of palette.entries()) {
    const away = distance(candidate, color);
    if (away >= bestDistance) continue;
    best = index;
    bestDistance = away;
  }
  return best;
}

function distance(one: number, other: number): number {
  const red = ((one >> 16) & 255) - ((other >> 16) & 255);
  const green = ((one >> 8) & 255) - ((other >> 8) & 255);
  const blue = (one & 255) - (other & 255);
  return red * red + green * green + blue * blue;
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
