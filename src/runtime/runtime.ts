import type { Checksum } from './checksum.ts'
import type { Clock } from './clock.ts'
import type { Compute } from './compute.ts'
import type { Disk } from './disk.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'

/**
 * The seam: everything the engine may ask of the world. Swap it and the same code runs natively, portably, or
 * inside a simulator.
 */
export interface Runtime {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  readonly checksum: Checksum
  readonly compute: Compute
}
