import { join } from 'node:path'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'

// A worker thread that takes the lock of the directory named on the command line, and is ended while its writes are queued.
const [directory = '', count = ''] = process.argv.slice(2)
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { argv: [directory, count] })
  worker.once('message', () => {
    void worker.terminate()
    process.send?.('ending')
  })
  setInterval(() => {}, 1000)
} else {
  const { disk } = createRuntime({ native: true, maxQueuedBytes: 1 << 30 })
  await disk.lock(join(directory, 'lock'), 'a worker')
  const bytes = Buffer.alloc(1 << 20, 7)
  for (let number = 0; number < Number(count); number++) {
    const file = disk.file(join(directory, `log-${number}`))
    disk.submit([{ file, position: 0, parts: [bytes], sync: 'data' }]).catch(() => {})
  }
  parentPort!.postMessage('busy')
  setInterval(() => {}, 1000)
}
