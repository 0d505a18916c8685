import cluster, { type Worker } from 'node:cluster'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'

// A primary whose workers take the lock, or listen on the port, that is named on the command line. Each worker tells how that
// went, and is then told to disconnect, which it survives; in the end the primary wants the lock itself.
const [what = '', where = ''] = process.argv.slice(2)
const { disk, network } = createNodeRuntime()

function listen(): Promise<unknown> {
  return network.listen({ host: '127.0.0.1', port: Number(where) }, () => {})
}

/** "done", or the code of what went wrong. */
function outcome(taken: Promise<unknown>): Promise<string> {
  return taken.then(
    () => 'done',
    ({ code }) => String(code),
  )
}

if (cluster.isPrimary) {
  const outcomes: unknown[] = []
  const workers: Worker[] = []
  for (let count = 0; count < 2; count++) {
    const worker = cluster.fork()
    workers.push(worker)
    outcomes.push(await new Promise((resolve) => worker.once('message', resolve)))
    worker.disconnect()
    await new Promise((resolve) => worker.once('disconnect', resolve))
  }
  outcomes.push(await outcome(what === 'lock' ? disk.lock(where, 'the primary') : listen()))
  for (const worker of workers) worker.process.kill('SIGKILL')
  process.send?.(outcomes)
} else {
  process.send?.(await outcome(what === 'lock' ? disk.lock(where, 'a worker') : listen()))
  // Who has been disconnected is not ended with the primary.
  setTimeout(() => process.exit(), 15_000)
}
