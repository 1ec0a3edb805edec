/** One thing that the repository holds itself to. Reads only. */
export interface Check {
  readonly name: string;
  /** What to do about findings, in one line. */
  readonly remedy: string;
  run(root: string): Promise<CheckResult>;
}

export interface CheckResult {
  /** How many things were looked at: a check that silently reads nothing has been seen, so each one has a floor. */
  readonly read: number;
  readonly unit: string;
  readonly findings: readonly string[];
  readonly warnings?: readonly string[];
}
