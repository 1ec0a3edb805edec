import type { NodeId, Peer, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameIncarnation, sameRound, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { bitmapOf } from '../../../shared/protocol/kernel/bitmap.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { Resyncs } from '../../../shared/protocol/kernel/resyncs.js';
import type {
  Join,
  LeaseAcknowledgement,
  PreparedRef,
  Refusal,
  Status,
} from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token } from './io.js';
import type { MemberRecord } from './records.js';
import { masterKeys } from './records.js';
import type { MemberView } from './view.js';

export interface Member {
  readonly node: NodeId;
  readonly slot: number;
  peer: Peer;
  /** Joined in this reign: it knows its slot, and may vote. */
  welcomed: boolean;
  /** Promised this reign's epoch, so that older leases of it are over. */
  promised: boolean;
  heardMs: number;
  status: Status | null;
  statusMs: number;
  /** The newest change that it said yes to: it has the bytes, though its status may not show them yet. */
  held: Tip | null;
  /** When the lease that this master lent ends at the latest, on the master's clock. */
  leaseEndsMs: number;
  /** Left out by a decision: no renewal until it exposes the committed tip again. */
  fenced: boolean;
  /** Left out of rounds while it catches up. */
  catchingUp: boolean;
  roundTripMs: number | null;
  lastVote: { version: number; yes: boolean; reason: string } | null;
  lastVeto: { version: number; reason: string; atMs: number } | null;
  readonly votes: { yes: number; no: number };
  /** Its oldest round in doubt, and since when it is that. */
  oldestInDoubt: { readonly round: RoundId; readonly sinceMs: number } | null;
  readonly resyncs: Resyncs;
}

/** Who belongs to the group, who is heard, and whose lease may still run. */
export class Members {
  readonly #byNode = new Map<NodeId, Member>();
  /** Registrations on their way to disk. */
  readonly #joining = new Map<Token, { readonly peer: Peer; readonly slot: number }>();
  #nextSlot: number;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    /** The newest heartbeat's sequence. */
    private readonly heartbeat: () => number,
    recovered: { readonly members: readonly MemberRecord[]; readonly nextSlot: number },
  ) {
    this.#nextSlot = recovered.nextSlot;
    for (const record of recovered.members) {
      this.#add({ node: record.node, incarnation: { storeId: record.storeId, start: record.start } }, record.slot);
    }
  }

  get all(): readonly Member[] {
    return [...this.#byNode.values()];
  }

  get size(): number {
    return this.#byNode.size;
  }

  of(peer: Peer): Member | undefined {
    const member = this.#byNode.get(peer.node);
    return member !== undefined && sameIncarnation(member.peer.incarnation, peer.incarnation) ? member : undefined;
  }

  named(node: string): Member | undefined {
    return this.#byNode.get(node as NodeId);
  }

  isLive(member: Member): boolean {
    return member.welcomed && this.context.nowMs - member.heardMs < this.context.config.leaseMs;
  }

  /**
   * Heard within its lease, and not out of the running by itself. One that is far behind is left out once its lease has
   * ended, so that it slows nobody while it catches up.
   */
  mayVote(member: Member): boolean {
    if (!this.isLive(member) || member.status === null) return false;
    const { state, tip } = member.status;
    if (state === 'diverged' || state === 'failed' || this.history.distance(tip) === null) return false;
    return this.context.nowMs < member.leaseEndsMs || !this.#isFarBehind(member);
  }

  /** Somebody who promised this reign hasn't given an account of itself yet: it is alive, and about to join. */
  get isGathering(): boolean {
    return this.all.some((member) => member.promised && (!member.welcomed || member.status === null));
  }

  #isFarBehind(member: Member): boolean {
    if (member.status === null || member.status.state !== 'catching up') return false;
    return (this.history.distance(member.status.tip) ?? Infinity) > limits.voterLagVersions;
  }

  /** Committed states that it lacks, as far as it told; null when the chain can't say. */
  lag(member: Member): number | null {
    const shown = this.history.distance(member.status?.tip ?? null);
    const held = member.held === null ? null : this.history.distance(member.held);
    return shown === null || held === null ? (shown ?? held) : Math.min(shown, held);
  }

  // ── joining ───────────────────────────────────────────────────────────────────────────────────────────────────────

  onJoin(from: Peer, join: Join): void {
    const refusal = this.#refuse(from);
    if (refusal !== null) {
      this.context.event('join refused', 'warn', { node: from.node, reason: refusal.reason });
      this.context.send(from, refusal);
      return;
    }
    if (this.history.isBehind(join.tip))
      this.context.event('member ahead', 'error', { node: from.node, tip: join.tip?.version });
    const known = this.#byNode.get(from.node);
    if (known !== undefined && sameIncarnation(known.peer.incarnation, from.incarnation)) return this.#welcome(known);
    if ([...this.#joining.values()].some(({ peer }) => peer.node === from.node)) return; // on its way to disk
    const slot = known?.slot ?? this.#nextSlot;
    const record: MemberRecord = {
      node: from.node,
      slot,
      storeId: from.incarnation.storeId,
      start: from.incarnation.start,
    };
    const dataSet = this.context.config.dataSet;
    const put = { kind: 'put', key: masterKeys.member(dataSet, from.node), value: record } as const;
    const next = {
      kind: 'put',
      key: masterKeys.nextSlot(dataSet),
      value: this.#nextSlot + (known === undefined ? 1 : 0),
    } as const;
    if (known === undefined) this.#nextSlot += 1;
    // Registered durably before it is welcomed: a restarted master must wait for everybody whose lease may run.
    this.#joining.set(this.context.persist([put, next], { durable: true }), { peer: from, slot });
  }

  /** True when the write was a member's registration. */
  onPersisted(token: Token): boolean {
    const joining = this.#joining.get(token);
    if (joining === undefined) return false;
    this.#joining.delete(token);
    const { peer, slot } = joining;
    const known = this.#byNode.get(peer.node);
    const member = known ?? this.#add(peer, slot);
    const isRestart = known !== undefined;
    member.peer = peer;
    member.status = null;
    member.held = null;
    // The process that held the lease is gone: same name and store, higher start.
    if (isRestart) member.leaseEndsMs = 0;
    this.context.event(isRestart ? 'member returned' : 'member joined', 'info', { node: peer.node, slot: member.slot });
    this.#welcome(member);
    return true;
  }

  #welcome(member: Member): void {
    member.welcomed = true;
    member.promised = true; // it joined in this epoch, which it promised before it obeyed
    member.heardMs = this.context.nowMs;
    this.context.send(member.peer, {
      kind: 'welcome',
      slot: member.slot,
      leaseMs: this.context.config.leaseMs,
      member: member.peer.incarnation,
      heartbeat: this.heartbeat(),
    });
  }

  #refuse(from: Peer): Refusal | null {
    const known = this.#byNode.get(from.node);
    if (known === undefined) {
      if (this.#byNode.size < limits.maxMembers) return null;
      return {
        kind: 'refusal',
        reason: 'group-full',
        text: `the group has ${limits.maxMembers} members; forget some of them`,
      };
    }
    const { incarnation } = known.peer;
    if (incarnation.storeId !== from.incarnation.storeId) {
      // Another store under the same name: a second node, unless the first one's lease has ended.
      if (!this.isLive(known) && this.context.nowMs >= known.leaseEndsMs) return null;
      return {
        kind: 'refusal',
        reason: 'name-taken',
        text: `the name ${from.node} is taken by a live node with another store; give this one another --name, or stop that one`,
      };
    }
    if (from.incarnation.start >= incarnation.start) return null;
    return {
      kind: 'refusal',
      reason: 'cloned-store',
      text: `the store of ${from.node} was started ${incarnation.start} times already, here only ${from.incarnation.start}: it is a copy of another node's; start this node with a store of its own`,
    };
  }

  #add(peer: Peer, slot: number): Member {
    const member: Member = {
      node: peer.node,
      slot,
      peer,
      welcomed: false,
      promised: false,
      heardMs: -Infinity,
      status: null,
      statusMs: -Infinity,
      held: null,
      leaseEndsMs: 0,
      fenced: false,
      catchingUp: false,
      roundTripMs: null,
      lastVote: null,
      lastVeto: null,
      votes: { yes: 0, no: 0 },
      oldestInDoubt: null,
      resyncs: new Resyncs(),
    };
    this.#byNode.set(peer.node, member);
    return member;
  }

  // ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  onNewReign(): void {
    for (const member of this.#byNode.values()) {
      member.welcomed = false;
      member.promised = false;
      member.status = null;
      member.held = null;
      member.resyncs.onNewReign();
    }
  }

  onStatus(member: Member, status: Status): void {
    if (member.status !== null && status.sequence <= member.status.sequence) return;
    const { nowMs } = this.context;
    const before = member.status;
    member.heardMs = nowMs;
    member.status = status;
    member.statusMs = nowMs;
    this.#noteInDoubt(member, status);
    member.resyncs.onReached(status.tip);
    if (member.fenced && sameTip(status.tip, this.history.tip)) {
      member.fenced = false;
      this.context.event('member caught up', 'info', { node: member.node });
    }
    this.#noteCatchingUp(member, before);
    if (status.echo !== null) {
      const roundTripMs = nowMs - status.echo.masterSentMs - (status.echo.slaveSentMs - status.echo.slaveReceivedMs);
      if (roundTripMs >= 0)
        member.roundTripMs =
          member.roundTripMs === null ? roundTripMs : member.roundTripMs * 0.875 + roundTripMs * 0.125;
    }
  }

  #noteInDoubt(member: Member, status: Status): void {
    const oldest = inDoubtOf(status)[0];
    if (oldest === undefined) member.oldestInDoubt = null;
    else if (member.oldestInDoubt === null || !sameRound(member.oldestInDoubt.round, oldest.round))
      member.oldestInDoubt = { round: oldest.round, sinceMs: this.context.nowMs };
  }

  /** Told once when it is moved to catch-up, with the cause, and once when it is back. */
  #noteCatchingUp(member: Member, before: Status | null): void {
    const isOut = this.#isFarBehind(member) && this.context.nowMs >= member.leaseEndsMs;
    if (isOut === member.catchingUp || member.status === null) return;
    const { node, status } = member;
    if (!isOut && this.history.distance(status.tip) !== 0) return;
    member.catchingUp = isOut;
    if (!isOut) {
      this.context.event('member caught up', 'info', { node });
      return;
    }
    const repairs = status.repairs - (before?.repairs ?? 0);
    const cause =
      status.tip === null
        ? 'it is new here, or its store is empty'
        : repairs > 0
          ? `it lost packets: ${repairs} repairs since its status before`
          : 'it was not heard for a lease, or applies changes more slowly than they come';
    const level = status.tip === null ? 'info' : 'warn';
    this.context.event('member moved to catch-up', level, { node, behind: this.history.distance(status.tip), cause });
  }

  onLeave(member: Member): void {
    member.welcomed = false;
    member.heardMs = -Infinity;
    member.leaseEndsMs = 0; // it said that it no longer serves
    this.context.event('member left', 'info', { node: member.node });
  }

  forget(node: string): Member | undefined {
    const member = this.named(node);
    if (member === undefined) return undefined;
    this.#byNode.delete(member.node);
    this.context.persist([{ kind: 'remove', key: masterKeys.member(this.context.config.dataSet, member.node) }], {
      durable: true,
    });
    this.context.event('member forgotten', 'info', { node: member.node });
    return member;
  }

  // ── leases ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Leases that this heartbeat renews: for whom was heard lately, and is fenced by nothing. `mayRenew` says whether nothing
   * can become visible behind the member's back before the lease ends.
   */
  acknowledge(mayRenew: (member: Member, endsMs: number) => boolean): LeaseAcknowledgement[] {
    const { nowMs } = this.context;
    const { leaseMs } = this.context.config;
    const slotsByEcho = new Map<number, number[]>();
    for (const member of this.#byNode.values()) {
      if (!this.isLive(member) || member.status === null || member.fenced) continue;
      if (member.status.state === 'diverged' || member.status.state === 'failed') continue;
      if (nowMs - member.statusMs >= leaseMs) continue;
      // A lease would make it a voter, and it would hold up every round until it has caught up.
      if (this.#isFarBehind(member)) continue;
      // The slave counts from what it echoed, which was earlier; ρ covers the difference of the two clocks' rates.
      const endsMs = member.statusMs + leaseMs * (1 + 2 * limits.clockRateError);
      if (!mayRenew(member, endsMs)) continue;
      const echoed = member.status.echo?.sequence ?? 0;
      const slots = slotsByEcho.get(echoed);
      if (slots === undefined && slotsByEcho.size >= limits.acknowledgedHeartbeats) continue;
      if (slots === undefined) slotsByEcho.set(echoed, [member.slot]);
      else slots.push(member.slot);
      member.leaseEndsMs = Math.max(member.leaseEndsMs, endsMs);
    }
    return [...slotsByEcho].map(([heartbeat, slots]) => ({ heartbeat, slots: bitmapOf(slots) }));
  }

  /** When the last lease of those who are not in `yes` has ended. */
  leasesEndMs(yes: ReadonlySet<number>): number {
    let endMs = 0;
    for (const member of this.#byNode.values()) if (!yes.has(member.slot)) endMs = Math.max(endMs, member.leaseEndsMs);
    return endMs;
  }

  slowestRoundTripMs(): number {
    let slowest = 0;
    for (const member of this.#byNode.values())
      if (this.isLive(member)) slowest = Math.max(slowest, member.roundTripMs ?? 0);
    return slowest;
  }

  views(): MemberView[] {
    const { nowMs } = this.context;
    return [...this.#byNode.values()].map((member) => ({
      node: member.node,
      slot: member.slot,
      incarnation: member.peer.incarnation,
      live: this.isLive(member),
      state: member.status?.state ?? null,
      tip: member.status?.tip ?? null,
      behind: this.#behind(member.status?.tip ?? null, member.status !== null),
      behindMs: member.status === null ? null : this.history.lackedMs(member.status.tip, nowMs),
      heardMsAgo: member.heardMs === -Infinity ? null : nowMs - member.heardMs,
      lastVote: member.lastVote,
      lastVeto: member.lastVeto,
      votes: { ...member.votes },
      inDoubt: member.status === null ? 0 : inDoubtOf(member.status).length,
      oldestInDoubtMs:
        member.status === null || member.oldestInDoubt === null ? null : nowMs - member.oldestInDoubt.sinceMs,
      roundTripMs: member.roundTripMs,
      repairs: member.status?.repairs ?? 0,
      snapshots: member.status?.snapshots ?? 0,
      resyncs: member.resyncs.counts,
    }));
  }

  #behind(tip: Tip | null, heard: boolean): number | null {
    return heard ? this.history.distance(tip) : null;
  }
}

/** What is armed is in no doubt: it shows at its instant. */
function inDoubtOf({ prepared, arming }: Status): readonly PreparedRef[] {
  return arming?.armed === true ? prepared.filter(({ round }) => !sameRound(round, arming.round)) : prepared;
}
