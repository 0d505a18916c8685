import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/faults/**'],
    setupFiles: ['test/support/seed.ts'],
    testTimeout: 30_000,
  },
})
