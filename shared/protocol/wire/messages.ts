import type { Delta, Epoch, Incarnation, Peer, RoundId, Tip } from '../kernel/ids.js';

/**
 * What masters and slaves say to each other: one discriminated union per family. The reign's epoch, the sender and the
 * data set stand in the frame around a message, not in it. `docs/protocol.md` gives the bytes.
 */

// ── session ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A starting master looks; whoever hears it answers with a report and changes nothing. */
export interface Survey {
  readonly kind: 'survey';
}

/** What a node answers to a survey. */
export interface Report {
  readonly kind: 'report';
  readonly role: 'master' | 'slave';
  /** The newest reign that this node has promised itself to (for a leading master: its own). */
  readonly promised: Epoch;
  readonly tip: Tip | null;
  readonly prepared: readonly PreparedRef[];
  /** The leading master heard within the last lease (for a leading master: itself); null when there is none. */
  readonly hears: Peer | null;
}

/** A master asks to lead the group in the frame's epoch. */
export interface Claim {
  readonly kind: 'claim';
  readonly tip: Tip | null;
}

/**
 * A slave's durable grant of an epoch, or its refusal with the newer one that it is bound to. Also what a slave answers
 * to any packet of an older reign, so that a master that was replaced learns it.
 */
export interface EpochPromise {
  readonly kind: 'promise';
  readonly granted: boolean;
  readonly promised: Epoch;
  /** True when the holder of `promised` has been heard leading within the last lease. */
  readonly claimantLeads: boolean;
  readonly tip: Tip | null;
  readonly prepared: readonly PreparedRef[];
}

export interface PreparedRef {
  readonly round: RoundId;
  readonly from: Tip | null;
  readonly to: Tip;
  /** A master said that it is decided, and it is marked so on disk: it shows at its instant. */
  readonly armed: boolean;
}

export interface Join {
  readonly kind: 'join';
  readonly tip: Tip | null;
  readonly promised: Epoch;
  readonly prepared: readonly PreparedRef[];
}

/** The master's acceptance: durable at the master before it leaves. */
export interface Welcome {
  readonly kind: 'welcome';
  /** The member's place in the voter bitmaps of this reign. */
  readonly slot: number;
  readonly leaseMs: number;
  /** Who is welcomed: a process that started later at the same address isn't meant. */
  readonly member: Incarnation;
  /** The newest heartbeat when this was said. Only later ones speak of this member by its slot; 0 when there was none. */
  readonly heartbeat: number;
}

export interface Refusal {
  readonly kind: 'refusal';
  readonly reason: 'name-taken' | 'cloned-store' | 'group-full' | 'forgotten';
  readonly text: string;
}

export interface Leave {
  readonly kind: 'leave';
}

/** A slave's account of itself; it acknowledges commits, and asks for its lease. */
export interface Status {
  readonly kind: 'status';
  /** Rises by one with each status of this incarnation. */
  readonly sequence: number;
  readonly tip: Tip | null;
  readonly prepared: readonly PreparedRef[];
  readonly state: SlaveState;
  /** The newest heartbeat heard, with the four stamps that measure round trip and clock offset. */
  readonly echo: HeartbeatEcho | null;
  /** Receive buffer granted by the system, bytes: what the master may have under way to this node. */
  readonly windowBytes: number;
  /** Counted since the start, so that a lost status loses nothing: deltas asked for, snapshots taken. */
  readonly repairs: number;
  readonly snapshots: number;
  /** What it has durably done about the newest arming of this reign; null: nothing yet. */
  readonly arming: ArmingReport | null;
  /** The newest scheduled change that it has exposed, for as long as its process lives. */
  readonly activation: ActivationReport | null;
}

/** A slave's durable answer to an arming. */
export interface ArmingReport {
  readonly round: RoundId;
  readonly order: number;
  readonly armed: boolean;
}

/** When a scheduled change was exposed here, by this node's own estimate of the group time. */
export interface ActivationReport {
  readonly round: RoundId;
  /** Null: the group time wasn't known here. */
  readonly exposedAtMs: number | null;
  /** The true group time was no further than this from `exposedAtMs`. */
  readonly errorMs: number;
}

/** What a copy is worth to a reader. */
export type SlaveState = 'current' | 'serving' | 'catching up' | 'diverged' | 'failed';

export interface HeartbeatEcho {
  readonly sequence: number;
  readonly masterSentMs: number;
  readonly slaveReceivedMs: number;
  readonly slaveSentMs: number;
}

/** A member asks for the group time; the answer is a `clock`. */
export interface ClockRequest {
  readonly kind: 'clock-request';
  /** The asker's monotonic clock, which comes back unchanged. */
  readonly sentMs: number;
}

/** The master's group time, said at once to who asked for it: with the request's stamps, four readings of two clocks. */
export interface ClockAnswer {
  readonly kind: 'clock';
  /** Who asked: a process that started later at the same address isn't meant. */
  readonly member: Incarnation;
  readonly requestSentMs: number;
  /** Group time when the request was used. */
  readonly receivedMs: number;
  /** Group time when this was said. */
  readonly sentMs: number;
  /** Rises when the master's machine may have slept, and group time with it: what was measured in an earlier one holds no more. */
  readonly era: number;
}

/** Repeated by a leading master; it alone suffices to heal everything. */
export interface Heartbeat {
  readonly kind: 'heartbeat';
  readonly sequence: number;
  /** The master's monotonic clock at sending. */
  readonly sentMs: number;
  /** The newest committed state. */
  readonly tip: Tip | null;
  /** The lowest round of this epoch that is still open; all below it are settled. */
  readonly lowestOpenRound: number;
  readonly openRounds: readonly OpenRoundNote[];
  /** The newest outcomes, oldest first. */
  readonly recentDecisions: readonly Decision[];
  /** Whether a diverged slave may heal by snapshot on its own, and on whose word. */
  readonly heal: HealPermission;
  readonly leaseMs: number;
  /** When this reign's next heartbeat is due at the latest, milliseconds from now. */
  readonly nextInMs: number;
  /** Everybody answers with a status. To the others only those do that hold no lease. */
  readonly asks: boolean;
  /** Members whose newest status echoed a heartbeat, which renews their leases; by heartbeat. */
  readonly acknowledged: readonly LeaseAcknowledgement[];
  /** The decided change that waits for its instant, as `arming` tells of it. */
  readonly arming: ArmingNote | null;
}

export type HealPermission = 'nobody' | 'majority' | 'operator';

export interface OpenRoundNote {
  readonly number: number;
  readonly to: Tip;
  /** Bitmap of slots whose vote is missing. */
  readonly missing: Uint8Array;
}

export interface LeaseAcknowledgement {
  /** The one that was echoed: a lease counts from when the member heard it. 0: none yet; it counts from the member's first status. */
  readonly heartbeat: number;
  /** Bitmap of slots. */
  readonly slots: Uint8Array;
}

export interface Decision {
  readonly round: RoundId;
  readonly to: Tip;
  readonly outcome: 'committed' | 'aborted';
}

// ── replication ─────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The packet kinds of a change: version only · version with data · prior and new version with the change · the same
 * with a chain of earlier changes. Each may ride on an announce (one phase) or a prepare (two phases).
 */
export type Content =
  | { readonly kind: 'version' }
  | { readonly kind: 'state'; readonly state: Delta }
  | { readonly kind: 'change'; readonly change: Delta }
  | { readonly kind: 'chain'; readonly changes: readonly Delta[] };

export type ContentKind = Content['kind'];

/** One phase: decided already, to be applied on arrival. */
export interface Announce {
  readonly kind: 'announce';
  readonly from: Tip | null;
  readonly to: Tip;
  readonly content: Content;
}

/** Two phases: can you? */
export interface Prepare {
  readonly kind: 'prepare';
  readonly round: number;
  readonly from: Tip | null;
  readonly to: Tip;
  readonly content: Content;
  /** Bitmap of the slots whose vote the round needs, fixed when it starts. */
  readonly voters: Uint8Array;
  readonly lowestOpenRound: number;
  /** The newest committed state when this was sent: with it all below it is committed, which stands for their commits. */
  readonly committed: Tip | null;
  /** Group time, whole milliseconds: a yes is one to expose the change then, and not before. Null: at once. */
  readonly activateAtMs: number | null;
}

export interface Vote {
  readonly kind: 'vote';
  readonly round: RoundId;
  /** The tip voted on, so that a vote can't count for another change. */
  readonly to: Tip;
  /** (a) the copy is at the prior version. */
  readonly upToDate: boolean;
  /** (b) the user layer can process the change. A yes is both. */
  readonly canProcess: boolean;
  /** Why not; empty with a yes. */
  readonly reason: string;
  /** The version that this copy exposes, 0 for none: with a yes, an acknowledgement of the commits up to it. */
  readonly exposed: number;
  /** Positions of the refused operations inside the change, when the user layer names them. */
  readonly refused: readonly number[];
}

export interface Commit {
  readonly kind: 'commit';
  readonly round: RoundId;
  readonly to: Tip;
  readonly lowestOpenRound: number;
  /** A caller waits until the state is exposed everywhere; without it a status within `acknowledgeMs` is soon enough. */
  readonly acknowledge: boolean;
}

/** A change that is decided and exposed at an instant, or isn't to be any more. */
export interface ArmingNote {
  /** Of the reign that decided it; a later reign of the same store carries it on. */
  readonly round: RoundId;
  readonly to: Tip;
  /** Group time, whole milliseconds. */
  readonly activateAtMs: number;
  /** Bitmap of the slots that are meant: of those whose yes the decision counted. */
  readonly voters: Uint8Array;
  /** Rises within a reign whenever `armed` changes: of two notes the higher one counts. */
  readonly order: number;
  /** False: whoever is armed takes that back, and is in doubt like any other that said yes. */
  readonly armed: boolean;
}

/** Scheduled changes: be ready to expose it at the instant, unasked; or, no more. Repeated until a status reports it. */
export interface Arming extends ArmingNote {
  readonly kind: 'arming';
}

export interface Abort {
  readonly kind: 'abort';
  readonly round: RoundId;
  readonly to: Tip;
  readonly lowestOpenRound: number;
}

/** A participant in doubt asks: the master, then the other slaves. */
export interface Inquiry {
  readonly kind: 'inquiry';
  readonly round: RoundId;
  readonly from: Tip | null;
  readonly to: Tip;
}

export interface Resolution {
  readonly kind: 'resolution';
  readonly round: RoundId;
  readonly to: Tip;
  readonly outcome: 'committed' | 'aborted' | 'superseded' | 'unknown';
}

// ── delta ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Asks for what leads from the sender's tip to the committed one, or for the bytes of one open round. */
export interface DeltaRequest {
  readonly kind: 'delta-request';
  readonly request: number;
  readonly from: Tip | null;
  /** Null: to whatever is committed now. Otherwise a committed tip, or that of the open round which `round` names. */
  readonly to: Tip | null;
  readonly round: RoundId | null;
}

/** The answer: steps in order, each from where the one before it ends. */
export interface Deltas {
  readonly kind: 'deltas';
  readonly request: number;
  readonly steps: readonly Delta[];
}

/** "I can't serve a delta from there any more": the receiver is to take a snapshot, or has diverged. */
export interface TooOld {
  readonly kind: 'too-old';
  readonly request: number;
  readonly from: Tip | null;
  /** True when `from` is on the master's chain: history is gone, and nothing is wrong. */
  readonly onChain: boolean;
}

/** Come and fetch it over TCP, at the sender's address and this port. */
export interface BulkOffer {
  readonly kind: 'bulk-offer';
  readonly request: number;
  readonly mode: 'deltas' | 'snapshot';
  readonly from: Tip | null;
  readonly to: Tip;
  readonly port: number;
  /** 128 random bits, 32 hexadecimal digits: what the fetcher shows. */
  readonly token: string;
}

/** A slave that may take a snapshot asks for one. */
export interface SnapshotRequest {
  readonly kind: 'snapshot-request';
  readonly request: number;
}

export type SessionMessage =
  | Survey
  | Report
  | Claim
  | EpochPromise
  | Join
  | Welcome
  | Refusal
  | Leave
  | Status
  | Heartbeat
  | ClockRequest
  | ClockAnswer;
export type ReplicationMessage = Announce | Prepare | Vote | Commit | Abort | Inquiry | Resolution | Arming;
export type DeltaMessage = DeltaRequest | Deltas | TooOld | BulkOffer | SnapshotRequest;
export type Message = SessionMessage | ReplicationMessage | DeltaMessage;
export type MessageKind = Message['kind'];

/** A message as it came: who sent it, about what, in whose reign. */
export interface Envelope {
  readonly from: Peer;
  readonly dataSet: string;
  /** The reign that the sender acts in or is bound to; `noEpoch` when there is none. */
  readonly epoch: Epoch;
  readonly message: Message;
}
