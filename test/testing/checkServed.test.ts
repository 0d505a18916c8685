import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import type { Group } from '../../src/replica/group.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { factsOfBytes } from '../../src/testing/checkFacts.ts'
import type { Entry } from '../../src/testing/checkLog.ts'
import { checkServed } from '../../src/testing/checkServed.ts'

const batch = (value: string): Uint8Array =>
  encodeBatch({ records: [{ key: null, value: Buffer.from(value), timestampMs: 0 }] }, nodeChecksum)

/** A replica of one committed record, which serves what it is told to. */
function groupThat(read: () => Uint8Array | null): Group {
  const served = { highWatermark: 1, log: { logStartOffset: 0 }, read: () => [read()].filter((part) => part) }
  return served as unknown as Group
}

const committed = factsOfBytes(batch('right'), null, null)[0] as Entry
const served = (read: () => Uint8Array | null) => checkServed('node 1', groupThat(read), () => committed)

describe('what a harmed node serves in the end', () => {
  test('may be what was committed', async () => {
    expect(await served(() => batch('right'))).toBeNull()
  })

  test('may be refused as damaged', async () => {
    const damage = new CorruptionError({ file: 'f', position: 0, expected: 'a batch', found: 'zeros' })
    const error = await served(() => {
      throw damage
    })
    expect(error).toBe(damage)
  })

  test('breaks I19 where it is something else', async () => {
    await expect(served(() => batch('wrong'))).rejects.toMatchObject({ id: 'I19' })
  })

  test('breaks I19 where it is nothing at all', async () => {
    await expect(served(() => null)).rejects.toMatchObject({ id: 'I19' })
  })
})
