import type { TransportMode } from '../../shared/protocol/stream/paths.js';
import type { HostPort } from '../flags.js';

/** What `lockstep doctor` is asked to look at. */
export interface DoctorFlags {
  readonly to: readonly URL[];
  readonly group: string;
  readonly interface: string;
  readonly transport?: TransportMode;
  readonly peers?: readonly string[];
  readonly port: number;
  readonly http?: HostPort;
  readonly store: string;
  readonly keys?: string;
  readonly insecure?: true;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: true;
}
