import { defineConfig, type ViteUserConfig } from "vitest/config";

// The wire tests start servers of their own: two workers are what two cores can serve without starving those servers.
const config: ViteUserConfig = defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: "forks",
    maxWorkers: 2,
  },
});

export default config;
