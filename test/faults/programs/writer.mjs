// Appends to a directory until it is killed, and prints what was acknowledged.
//   node writer.mjs DIRECTORY POLICY LOGS WRITERS BYTES
// Lines on stdout:  P pid   A log baseOffset count firstId   E code   R records (after "read" on stdin)   C (closed, after "close")
import { openEngine } from '../../../dist/index.js'
import { textOf } from './values.mjs'

const [directory, policy, logCount, writerCount, bytes] = process.argv.slice(2)
const print = (line) => process.stdout.write(`${line}\n`)
print(`P ${process.pid}`)
/** The relaxed policies with a bound that this workload reaches. */
const bounds = { interval: { intervalMs: 20 }, bytes: { bytes: 50_000 }, records: { records: 100 } }
const flush = bounds[policy] ?? policy
const engine = await openEngine({ directory, flush })
const logs = []
for (let index = 0; index < Number(logCount); index++) {
  // Small segments: the workload has to see them roll.
  logs.push(await engine.log(`log-${index}`, { segmentBytes: 256 * 1024, maxAppendBytes: 64 * 1024 }))
}
print('O')

let isClosing = false
async function write(writer) {
  let id = writer * 1e9
  for (let turn = writer; !isClosing; turn++) {
    const index = turn % logs.length
    const count = 1 + (turn % 4)
    const first = id
    const records = Array.from({ length: count }, () => ({ value: textOf(id++, Number(bytes)) }))
    try {
      const { baseOffset } = await logs[index].append(records)
      print(`A ${index} ${baseOffset} ${count} ${first}`)
    } catch (error) {
      print(`E ${error.code}`)
      if (!error.retriable || error.code === 'diskFailed') return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

const writers = Array.from({ length: Number(writerCount) }, (_, writer) => write(writer))
process.stdin.on('data', async (chunk) => {
  const command = chunk.toString().trim()
  if (command === 'read') {
    let count = 0
    for (const log of logs) for await (const _ of log.read({ from: 0 })) count++
    print(`R ${count}`)
  } else if (command === 'close') {
    isClosing = true
    await Promise.all(writers)
    await engine.close()
    print('C')
    process.exit(0)
  }
})
