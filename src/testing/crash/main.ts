import { type PlantedBug, plant, plantedBugs } from '../../model/planted.ts'
import { defaultLimits, type ExploreLimits } from './explore.ts'
import {
  decodeReproduction,
  encodeReproduction,
  type Failure,
  type JobOutcome,
  replay,
  runJob,
  shrink,
} from './session.ts'

/** What the scripts of `npm run crash` and `npm run planted:storage` are made of. */
export const crashExplorer: {
  readonly plantedBugs: readonly PlantedBug[]
  readonly limits: ExploreLimits
  plant(bug: PlantedBug | null): void
  runJob(seed: number, index: number, limits: ExploreLimits): Promise<JobOutcome>
  shrink(failure: Failure, limits: ExploreLimits): Promise<Failure>
  encode(failure: Failure): string
  /** Makes a failure again; null when nothing is broken. */
  replay(word: string): Promise<string | null>
} = {
  plantedBugs,
  limits: defaultLimits,
  plant,
  runJob,
  shrink,
  encode: ({ reproduction }) => encodeReproduction(reproduction),
  replay: (word) => replay(decodeReproduction(word)),
}
