import { expect, test } from 'vitest'
import { NodeReader, type ReaderGroup } from '../../src/engine/nodeReader.ts'
import { EngineError } from '../../src/model/errors.ts'
import { machine } from './support.ts'

const reason = new Error('enough')

test.each([
  ['its stop', ({ reader }: Beginning) => reader.stop(), null],
  ['its signal', ({ control }: Beginning) => control.abort(reason), reason],
  ['the end of the partition', (beginning: Beginning) => beginning.end(), null],
] as const)('a reader sees %s while it waits for bytes that do not come', async (_, happen, expected) => {
  const beginning = begin()
  const next = beginning.reader.next().catch((error) => error)
  await beginning.asked
  happen(beginning)
  beginning.giveNothing()
  expect(await next).toBe(expected)
})

type Beginning = ReturnType<typeof begin>

/** A reader that follows a partition of one committed record, which cannot be read yet. */
function begin() {
  const control = new AbortController()
  let giveNothing = (): void => {}
  const bytes = new Promise<null>((resolve) => {
    giveNothing = () => resolve(null)
  })
  let ask = (): void => {}
  const asked = new Promise<void>((resolve) => {
    ask = resolve
  })
  let ended: EngineError | null = null
  const group = {
    highWatermark: 1,
    log: { logStartOffset: 0 },
    read: () => {
      ask()
      return bytes
    },
    watch: () => () => {},
  } satisfies Partial<ReaderGroup> as unknown as ReaderGroup
  const { clock, checksum } = machine()
  const reader = new NodeReader(
    { follow: true, stale: true, signal: control.signal },
    {
      name: 'orders',
      clock,
      checksum,
      decompress: (_, body) => body,
      begin: async () => ({ group, end: 1 }),
      ended: () => ended,
      // Whoever asks only now has missed it.
      onEnd: () => () => {},
    },
  )
  const end = (): void => {
    ended = new EngineError('closed', 'the node has been closed')
  }
  return { reader, control, end, asked, giveNothing }
}
