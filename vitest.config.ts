import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The examples import the package by its name.
  resolve: {
    alias: [
      { find: /^cordwood$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
      { find: /^cordwood\/(\w+)$/, replacement: fileURLToPath(new URL('src/$1.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/faults/**'],
    setupFiles: ['test/support/seed.ts'],
    execArgv: ['--import', new URL('test/support/typescriptInWorkers.mjs', import.meta.url).href],
    testTimeout: 30_000,
  },
})
