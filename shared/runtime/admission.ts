import PQueue from 'p-queue';

/**
 * A few at a time, in order of arrival (p-queue). Work of one group shares a place: what reads one source together must run
 * together, or those inside would wait for those outside.
 */
export class Admission {
  readonly #queue: PQueue;
  readonly #groups = new Map<object, Place>();

  constructor(places: number) {
    this.#queue = new PQueue({ concurrency: places });
  }

  async run<Result>(work: () => Promise<Result>, group: object | null): Promise<Result> {
    if (group === null) return this.#queue.add(work);
    const place = this.#groups.get(group) ?? this.#takePlace(group);
    place.members += 1;
    await place.admitted;
    try {
      return await work();
    } finally {
      place.members -= 1;
      if (place.members === 0) {
        this.#groups.delete(group);
        place.free();
      }
    }
  }

  /** Resolves when nothing runs and nothing waits. */
  onIdle(): Promise<void> {
    return this.#queue.onIdle();
  }

  #takePlace(group: object): Place {
    let admit = (): void => undefined;
    let free = (): void => undefined;
    const admitted = new Promise<void>((resolve) => (admit = resolve));
    const freed = new Promise<void>((resolve) => (free = resolve));
    const place: Place = { members: 0, admitted, free: () => free() };
    this.#groups.set(group, place);
    void this.#queue.add(() => {
      admit();
      return freed;
    });
    return place;
  }
}

interface Place {
  members: number;
  readonly admitted: Promise<void>;
  readonly free: () => void;
}
