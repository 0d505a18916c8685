import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskSync } from '../../src/runtime/disk.ts'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'

// Writes into the directory named on the command line while there is no descriptor left, and once there is again.
const [directory = '', kind = ''] = process.argv.slice(2)
const { disk } = createRuntime({ native: kind === 'native' })
const outcomes: string[] = []

async function write(name: string, sync: DiskSync): Promise<void> {
  const file = disk.file(join(directory, name))
  const written = disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync }])
  const outcome = await written.then(
    () => 'written',
    (error) => `${error.code} ${error.cause?.code}`,
  )
  outcomes.push(outcome)
}

await write('early', 'data')
const taken: number[] = []
try {
  for (;;) taken.push(openSync('/dev/null', 'r'))
} catch {
  // None is left.
}
await write('late', 'none')
// Its file is open; the directory that holds its name cannot be.
await write('early', 'dataAndName')
for (const descriptor of taken) closeSync(descriptor)
await write('late', 'dataAndName')
await write('early', 'dataAndName')
process.send?.(outcomes, () => process.exit())
