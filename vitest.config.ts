import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/faults/**'],
    setupFiles: ['test/support/seed.ts'],
    execArgv: ['--import', new URL('test/support/typescriptInWorkers.mjs', import.meta.url).href],
    testTimeout: 30_000,
  },
})
