import { defineConfig } from 'rolldown'

/**
 * A few files instead of some three hundred modules: a broker then listens in half the time, because Node resolves,
 * reads and links each module on its own. Commands stay apart, so that one does not load another.
 */
export default defineConfig({
  input: {
    index: 'src/index.ts',
    raft: 'src/raft.ts',
    testing: 'src/testing.ts',
    'cli/main': 'src/cli/main.ts',
    worker: 'src/worker.ts',
  },
  platform: 'node',
  external: [/^[^./]/],
  output: {
    dir: 'dist',
    format: 'esm',
    sourcemap: true,
    chunkFileNames: 'chunks/[name]-[hash].js',
  },
})
