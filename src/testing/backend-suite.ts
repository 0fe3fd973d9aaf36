import { runWith, type SuiteSubject, type SuiteTools } from "./backend/bench.ts";
import { closing, facts, naming } from "./backend/edges.ts";
import { keys } from "./backend/keys.ts";
import { listening } from "./backend/listening.ts";
import { numbering } from "./backend/numbering.ts";
import { reading, trimming } from "./backend/reading.ts";
import { several } from "./backend/several.ts";

export type { SuiteSubject, SuiteTools } from "./backend/bench.ts";

const parts = [numbering, keys, reading, trimming, listening, facts, naming, several, closing];

/** Everything that the contract in `backend.ts` promises, in sentences. Run it in a test file of the backend. */
export function backendSuite(name: string, make: () => Promise<SuiteSubject>, vitest: SuiteTools): void {
  vitest.describe(name, () => {
    for (const part of parts) part(vitest, runWith(make));
  });
}
