import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const src = fileURLToPath(new URL("src", import.meta.url));

// The wire tests start servers of their own: two workers are what two cores can serve without starving those servers.
const config: ViteUserConfig = defineConfig({
  // The examples of the docs import the package by its name, as their readers do; here that is the source.
  resolve: {
    alias: [
      { find: /^fanfare$/, replacement: `${src}/server/index.ts` },
      { find: /^fanfare\/client$/, replacement: `${src}/client/index.ts` },
      { find: /^fanfare\/http$/, replacement: `${src}/http/index.ts` },
      { find: /^fanfare\/lmdb$/, replacement: `${src}/backends/lmdb/index.ts` },
      { find: /^fanfare\/redis$/, replacement: `${src}/backends/redis/index.ts` },
      { find: /^fanfare\/opentelemetry$/, replacement: `${src}/telemetry/index.ts` },
      { find: /^fanfare\/testing$/, replacement: `${src}/testing/index.ts` },
    ],
  },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: "forks",
    maxWorkers: 2,
  },
});

export default config;
