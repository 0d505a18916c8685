import { EngineError } from '../model/errors.ts'
import type { Group } from '../replica/group.ts'
import { readBytes } from '../replica/groupReader.ts'
import { check, factsOfBytes } from './checkFacts.ts'
import type { Entry } from './checkLog.ts'

/** Bytes that are read at a time. */
const readAtOnce = 64 << 10

/**
 * I19: reads all that a replica says is committed, as it is read for clients, and compares it to what was committed there:
 * `committedAt` gives the batch that begins at an offset, null where that is not known any more. Null when all of it could be
 * read, else the error that said which part is damaged and could not be mended. Throws a `Violation` where the replica serves
 * something else.
 */
export async function checkServed(
  name: string,
  group: Group,
  committedAt: (offset: number) => Entry | null,
): Promise<EngineError | null> {
  const end = group.highWatermark
  for (let offset = group.log.logStartOffset; offset < end; ) {
    let bytes: Uint8Array | null
    try {
      bytes = await readBytes(group, offset, readAtOnce)
    } catch (error) {
      if (error instanceof EngineError) return error
      throw error
    }
    const facts = bytes === null ? [] : factsOfBytes(bytes, null, null)
    check(facts.length > 0, 'I19', () => `${name} serves nothing at ${offset}, and ${end} is committed there`)
    for (const fact of facts) {
      const follows = fact.baseOffset <= offset && fact.lastOffset >= offset
      check(follows, 'I12', () => `${name} serves ${fact.baseOffset} where ${offset} was asked for`)
      const entry = committedAt(fact.baseOffset)
      const isSame =
        entry === null ||
        (entry.lastOffset === fact.lastOffset && entry.epoch === fact.epoch && entry.hash === fact.hash)
      check(isSame, 'I19', () => `${name} serves other records at ${fact.baseOffset} than were committed`)
      offset = fact.lastOffset + 1
    }
  }
  return null
}
