import { memory } from "fanfare";
import { backendSuite, type SuiteSubject } from "fanfare/testing";
import { describe, expect, it } from "vitest";

/** Yours; `memory` stands in for it here. */
function makeSubject(): Promise<SuiteSubject> {
  return Promise.resolve({ backend: memory(), destroy: () => Promise.resolve() });
}

backendSuite("my backend", makeSubject, { describe, it, expect });
