import { join } from 'node:path'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'

// Writes half a gigabyte, each piece from lent memory of its own, into the directory named on the command line, and tells how
// much memory that has left.
const [directory = ''] = process.argv.slice(2)
const { disk } = createRuntime({ native: true })
const file = disk.file(join(directory, 'log'))
const pieceBytes = 4 << 20
let lentBytes = 0
for (let round = 0; round < 128; round++) {
  const piece = disk.lend!(pieceBytes).fill(round)
  lentBytes += piece.length
  await disk.submit([{ file, position: 0, parts: [piece], sync: 'none' }])
  // Finalizers have their turn.
  await new Promise((resolve) => setImmediate(resolve))
}
process.send?.({ lentBytes, residentBytes: process.memoryUsage().rss }, () => process.exit())
