import type { KeptNames, KeptShare } from './fault.ts'
import { blockBytes, sectorBytes } from './fileData.ts'
import type { Image, Medium, Unit } from './medium.ts'
import type { SimRandom } from './simRandom.ts'

/**
 * What a medium holds after the power went: each unsynced block with probability `kept`, the last one that was written torn
 * at a sector now and then. `journalled` keeps changes of names and lengths in their order: none after the first that is
 * lost.
 */
export function powerCut(medium: Medium, kept: KeptShare, names: KeptNames, random: SimRandom): Image {
  const lastBlock = medium.pending.findLast(({ kind }) => kind === 'block')
  let isPastLostName = false
  return medium.crashed((unit: Unit) => {
    const isKept = random.chance(kept)
    if (unit === lastBlock && random.chance(0.5))
      return { sectors: random.below(blockBytes / sectorBytes + 1) }
    if (names === 'adversarial' || (unit.kind !== 'name' && unit.kind !== 'truncate')) return isKept
    if (!isKept) isPastLostName = true
    return !isPastLostName
  })
}
