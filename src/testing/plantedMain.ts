import { type FoundBug, findPlanted, plantedRun, type WorldBug, worldBugs } from './plantedRuns.ts'

/** What the script of `npm run planted` is made of. */
export const plantedWorld: {
  readonly bugs: readonly WorldBug[]
  find(bug: WorldBug, seed: number, isOver: () => boolean): Promise<FoundBug | null>
  /** The options of a run, for whoever looks into one. */
  run: typeof plantedRun
} = { bugs: worldBugs, find: findPlanted, run: plantedRun }
