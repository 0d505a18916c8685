import { join } from 'node:path'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'

// Makes a thousand calls of a kind at once, in the directory named on the command line, and tells what came of them.
const [directory = '', kind = ''] = process.argv.slice(2)
const { disk } = createRuntime({ native: kind === 'native' })
const many = Array.from({ length: 1000 }, (_, index) => index)
const path = (index: number): string => join(directory, `file${index % 10}`)

for (const index of many.slice(0, 10)) await disk.replaceFile(path(index), Buffer.from('x'))
const calls: readonly ((index: number) => Promise<unknown>)[] = [
  () => disk.syncDirectory(directory),
  () => disk.list(directory),
  (index) => disk.readFile(path(index)),
  (index) => disk.replaceFile(path(index), Buffer.from('y')),
]
const outcomes = await Promise.all(
  calls.map(async (call) => {
    const results = await Promise.allSettled(many.map(call))
    return results.filter(({ status }) => status === 'rejected').length
  }),
)
process.send?.(outcomes, () => process.exit())
