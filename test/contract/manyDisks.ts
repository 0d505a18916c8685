import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'

// Writes many files through each of several disks, one disk after the other, and tells whether descriptors are left.
const [directory = '', kind = ''] = process.argv.slice(2)
const outcomes: string[] = []
for (let index = 0; index < 6; index++) {
  const { disk } = createRuntime({ native: kind === 'native' })
  for (let number = 0; number < 100; number++) {
    const file = disk.file(join(directory, `${index}-${number}`))
    const written = disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'none' }])
    await written.catch((error) => outcomes.push(error.message))
  }
}
const taken: number[] = []
try {
  for (let count = 0; count < 64; count++) taken.push(openSync('/dev/null', 'r'))
  outcomes.push('some left')
} catch (error) {
  outcomes.push((error as NodeJS.ErrnoException).code ?? '')
}
for (const descriptor of taken) closeSync(descriptor)
process.send?.(outcomes, () => process.exit())
