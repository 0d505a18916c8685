import type { Fate, Medium, Unit } from '../medium.ts'
import type { SimRandom } from '../simRandom.ts'

/** What a crash leaves of the pending units: everything but what is named here. */
export interface Fates {
  /** Orders of the units that are lost. */
  readonly lost: readonly number[]
  /** Units that are torn, and how many sectors of them are kept. */
  readonly torn: readonly Torn[]
  /** Only the process dies: everything is kept, for now. */
  readonly kill?: true
}

/** A block of which the power left only the first sectors. */
export interface Torn {
  readonly order: number
  readonly sectors: number
}

/** How many choices of one crash point are tried at most, and up to how many units every choice is. */
export interface ChoiceLimits {
  readonly most: number
  readonly exhaustiveUnits: number
}

/** The fates of the units of a medium, as `Medium.crashed` asks for them. */
export function fateOf(fates: Fates): (unit: Unit) => Fate {
  const lost = new Set(fates.lost)
  const torn = new Map(fates.torn.map(({ order, sectors }) => [order, sectors]))
  return (unit) => {
    const sectors = torn.get(unit.order)
    return sectors === undefined ? !lost.has(unit.order) : { sectors }
  }
}

/**
 * What a crash may leave of what is pending: nothing, all, all but one, only one, seeded subsets; every subset when
 * there are few. In `journalled` mode names and lengths are kept in their order: those after the first that is lost
 * are lost too.
 */
export function crashChoices(
  medium: Medium,
  names: 'journalled' | 'adversarial',
  random: SimRandom,
  limits: ChoiceLimits,
): Fates[] {
  const units = medium.pending
  const isOrdered = (unit: Unit): boolean =>
    names === 'journalled' && (unit.kind === 'name' || unit.kind === 'truncate')
  const found = new Map<string, Fates>()
  const add = (isKept: (index: number) => boolean, torn: Fates['torn'] = []): void => {
    const lost: number[] = []
    let isPastOrdered = false
    for (let index = 0; index < units.length; index++) {
      const unit = units[index]!
      if (isKept(index) && !(isPastOrdered && isOrdered(unit))) continue
      if (torn.some(({ order }) => order === unit.order)) continue
      lost.push(unit.order)
      if (isOrdered(unit)) isPastOrdered = true
    }
    found.set(`${lost.join()}/${tornText(torn)}`, { lost, torn })
  }
  add(() => true)
  add(() => false)
  if (units.length <= limits.exhaustiveUnits) {
    for (let bits = 1; bits < 2 ** units.length - 1; bits++) add((index) => (bits & (1 << index)) !== 0)
  } else {
    for (const index of someOf(units.length, limits.most / 4, random)) {
      add((other) => other !== index)
      add((other) => other === index)
    }
    for (let round = 0; round < 32; round++) {
      const probability = [0.1, 0.5, 0.9][round % 3]!
      const draw = random.fork()
      const kept = units.map(() => draw.chance(probability))
      add((index) => kept[index]!)
    }
  }
  const blocks = units.filter(({ kind }) => kind === 'block')
  for (const index of someOf(blocks.length, 4, random)) {
    const torn = { order: blocks[index]!.order, sectors: 1 + random.below(7) }
    add(() => true, [torn])
    add((other) => units[other]!.order < torn.order, [torn])
  }
  // What is written to two places at once may be torn in both.
  if (blocks.length > 1) {
    const latest = blocks.slice(-4)
    for (const most of [1, 7]) {
      add(
        () => true,
        latest.map(({ order }) => ({ order, sectors: 1 + random.below(most) })),
      )
    }
  }
  const choices: Fates[] = [...found.values()]
  choices.push({ lost: [], torn: [], kill: true })
  while (choices.length > limits.most) choices.splice(2 + random.below(choices.length - 2), 1)
  return choices
}

/** At most `count` of the numbers below `length`, each once: the last ones always among them. */
function someOf(length: number, count: number, random: SimRandom): number[] {
  const all = Array.from({ length }, (_, index) => index)
  while (all.length > count) all.splice(random.below(all.length - Math.min(2, all.length - 1)), 1)
  return all
}

/** A text for what is torn. */
export function tornText(torn: readonly Torn[]): string {
  return torn.map(({ order, sectors }) => `${order}.${sectors}`).join()
}
