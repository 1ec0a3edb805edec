/** A seeded source of numbers. Cores and the simulator draw from one that they were given; nothing draws from a global. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, bound). */
  below(bound: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** 128 bits as 32 hexadecimal digits. */
  hex128(): string;
  /** An independent stream, so that drawing more here moves nothing there. */
  fork(): Random;
}

/** The generator "sfc32" by Chris Doty-Humphrey (PractRand, 2010), seeded through a 32-bit mixer. */
export function seededRandom(seed: number): Random {
  let a = mix(seed);
  let b = mix(a ^ 0x9e3779b9);
  let c = mix(b ^ 0x85ebca6b);
  let counter = 1;
  const word = (): number => {
    const result = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + result;
    return result >>> 0;
  };
  for (let round = 0; round < 12; round += 1) word();
  const random: Random = {
    next: () => word() / 0x1_0000_0000,
    below: (bound) => Math.floor((word() / 0x1_0000_0000) * bound),
    chance: (probability) => word() / 0x1_0000_0000 < probability,
    hex128: () => [word(), word(), word(), word()].map((part) => part.toString(16).padStart(8, '0')).join(''),
    fork: () => seededRandom(word()),
  };
  return random;
}

function mix(value: number): number {
  let mixed = (value | 0) + 0x6d2b79f5;
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return (mixed ^ (mixed >>> 14)) | 0;
}
