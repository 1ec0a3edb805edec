import type { CheckerFactory } from './checker.js';
import { g1AllOrNone } from './g1-all-or-none.js';
import { g16AtTheInstant } from './g16-at-the-instant.js';
import { g2VoteAfterPrepared } from './g2-vote-after-prepared.js';
import { g3CommitAfterDecision } from './g3-commit-after-decision.js';
import { g4DataWithTip } from './g4-data-with-tip.js';
import { g5TipsGoForward } from './g5-tips-go-forward.js';
import { g6PrepareIsReleased } from './g6-prepare-is-released.js';
import { g7OlderEpochsChangeNothing } from './g7-older-epochs-change-nothing.js';
import { g8ChainNamesContent } from './g8-chain-names-content.js';
import { g9Convergence } from './g9-convergence.js';
import { g10Bounds } from './g10-bounds.js';
import { g11Corruption } from './g11-corruption.js';
import { g12Current } from './g12-current.js';
import { g13StaleMaster } from './g13-stale-master.js';
import { g14AcknowledgedStays } from './g14-acknowledged-stays.js';
import { g15ClockError } from './g15-clock-error.js';

/** One checker per guarantee, in their order. */
export const checkers: readonly CheckerFactory[] = [
  g1AllOrNone,
  g2VoteAfterPrepared,
  g3CommitAfterDecision,
  g4DataWithTip,
  g5TipsGoForward,
  g6PrepareIsReleased,
  g7OlderEpochsChangeNothing,
  g8ChainNamesContent,
  g9Convergence,
  g10Bounds,
  g11Corruption,
  g12Current,
  g13StaleMaster,
  g14AcknowledgedStays,
  g15ClockError,
  g16AtTheInstant,
];
