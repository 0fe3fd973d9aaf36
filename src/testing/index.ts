export { backendSuite, type SuiteSubject, type SuiteTools } from "./backend-suite.ts";
