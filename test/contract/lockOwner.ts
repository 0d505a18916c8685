import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'

// Takes the lock named on the command line and keeps it until the process is ended.
const [path = ''] = process.argv.slice(2)
try {
  await createNodeRuntime().disk.lock(path, `child ${process.pid}`)
  process.send?.('locked')
  setInterval(() => {}, 1000)
} catch (error) {
  process.send?.((error as { code?: string }).code)
}
