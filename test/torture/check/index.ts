import type { Rec } from "../records.ts";
import { checkAppLines, checkAppPresence, checkApps, checkAppTold } from "./apps.ts";
import { checkClock, checkLeft, checkManners, checkMemory, checkRevoked } from "./limits.ts";
import { checkAcked, checkEpochs, checkHeads, checkLogs } from "./logs.ts";
import { checkNames, checkRefused } from "./names.ts";
import { checkAnswers, checkLines, checkTimes } from "./order.ts";
import { checkAlternation, checkPresent } from "./presence.ts";
import { checkReplays, checkResumes, checkSteps, checkWhole } from "./streams.ts";
import { tell } from "./teller.ts";
import type { Violation } from "./violation.ts";

/** Invariant 9: the position check of 5 s, and 2 s. */
export const headWithinMs = 7_000;

/** What the records of a run say against the invariants of DESIGN.md. Pure: the same records, the same answer. */
export function check(records: readonly Rec[]): readonly Violation[] {
  const story = tell(records);
  const all = [
    ...checkManners(story),
    ...checkNames(story),
    ...checkSteps(story),
    ...checkWhole(story),
    ...checkApps(story, headWithinMs),
    ...checkAppPresence(story),
    ...checkAppLines(story),
    ...checkAppTold(story),
    ...checkAcked(story),
    ...checkRefused(story),
    ...checkAnswers(story),
    ...checkLines(story),
    ...checkTimes(story),
    ...checkResumes(story),
    ...checkReplays(story),
    ...checkEpochs(story),
    ...checkLogs(story),
    ...checkHeads(story, headWithinMs),
    ...checkAlternation(story),
    ...checkPresent(story),
    ...checkRevoked(story),
    ...checkMemory(story),
    ...checkLeft(story),
    ...checkClock(story),
  ];
  return all.sort((a, b) => a.invariant - b.invariant);
}
