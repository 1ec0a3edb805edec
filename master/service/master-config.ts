import type { DataSetId, NodeId } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { Durability } from '../../shared/protocol/kernel/outcome.js';
import type { Node } from '../../shared/runtime/node.js';
import type { DataSetDefaults } from '../types.js';
import type { MasterUserLayer } from '../user/contract.js';
import type { MasterConfig } from './core/io.js';

/** What holds for all data sets of one master. */
export interface MasterSettings {
  readonly durability: Durability;
  readonly takeOver: boolean;
  readonly adoptFrom: NodeId | null;
  readonly resetGroup: boolean;
  readonly leaseMs: number;
  readonly maxLeaseMs: number;
  readonly surveyMs: number;
  /** The time of day less the monotonic clock when this master started. */
  readonly groupOffsetMs: number;
  /** 128 random bits of this process: the claimant of its epochs. */
  readonly claimant: string;
}

/** Room for the frame and the names around a change, bytes. */
const frameBytes = 512;

export interface MasterConfigParts {
  readonly node: Node;
  readonly dataSet: DataSetId;
  readonly layer: MasterUserLayer;
  readonly defaults: DataSetDefaults;
  readonly settings: MasterSettings;
}

export function masterConfig(parts: MasterConfigParts): MasterConfig {
  const { node, dataSet, layer, defaults, settings } = parts;
  return {
    dataSet,
    node: node.self.node,
    incarnation: node.self.incarnation,
    claimant: settings.claimant,
    seed: node.ports.random.below(0x7fff_ffff),
    durability: settings.durability,
    maxOpenRounds: Math.min(layer.maxOpenRounds ?? 1, limits.maxOpenRounds),
    leaseMs: settings.leaseMs,
    maxLeaseMs: settings.maxLeaseMs,
    surveyMs: settings.surveyMs,
    groupOffsetMs: settings.groupOffsetMs,
    historyBytes: defaults.historyBytes ?? limits.historyBytes,
    historyAgeMs: defaults.historyAgeMs ?? limits.historyAgeMs,
    takeOver: settings.takeOver,
    adoptFrom: settings.adoptFrom,
    resetGroup: settings.resetGroup,
    datagramBytes: Math.max(frameBytes, node.ports.transport.maxDatagramBytes - frameBytes),
  };
}
