import { randomFillSync, randomInt } from 'node:crypto'
import type { Random } from '../random.ts'

/** The system's source of randomness. */
export const nodeRandom: Random = {
  fill(target: Uint8Array): void {
    randomFillSync(target)
  },
  below: (bound: number) => randomInt(bound),
}
