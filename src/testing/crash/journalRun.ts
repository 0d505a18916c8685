import { EngineError } from '../../model/errors.ts'
import { silentLogger } from '../../model/logger.ts'
import type { JournalEntry } from '../../segment/journal/entries.ts'
import { Journal } from '../../segment/journal/journal.ts'
import { instantPace, turnPace } from '../diskPace.ts'
import { blockBytes } from '../fileData.ts'
import { emptyImage, type Image, Medium, type MediumEvent } from '../medium.ts'
import { SimClock } from '../simClock.ts'
import { SimFileSystem } from '../simFileSystem.ts'
import { SimRandom } from '../simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../simRuntime.ts'
import { crashChoices, type Fates, fateOf } from './crashStates.ts'
import type { ExploreLimits } from './explore.ts'
import { type Moment, never } from './history.ts'
import { describeError, Violation } from './oracle.ts'
import { settle } from './world.ts'

/** A journal alone, in a crash: enough to make it again. */
export interface JournalPoint {
  readonly seed: number
  readonly moment: Moment
  readonly fates: Fates
  /** Instead of a crash: a byte of one block is another one. */
  readonly rot?: Rot
}

/** Where a byte is another one. */
interface Rot {
  readonly path: string
  readonly position: number
}

/** What a run with a journal alone came to. */
export interface JournalOutcome {
  readonly states: number
  readonly failures: readonly { readonly point: JournalPoint; readonly message: string }[]
}

const directory = '/journal'
const directoryId = new Uint8Array(16).fill(7)
const logId = 'AAAAAAAAAAAAAAAAAAAAAg'
const fileBytes = 32 << 10

/** An entry as whoever committed it knows it. Its number is its place among all. */
interface CommittedEntry {
  readonly committedAt: Moment
  ackedAt: Moment
  /** Which of all commits and acknowledgements these were. */
  readonly commitStep: number
  ackStep: number
  /** When a start did not find it, so that it may never come back. */
  lostAt: Moment
}

interface JournalHistory {
  /** Counts commits and acknowledgements. */
  steps: number
  readonly entries: CommittedEntry[]
  /** How many entries had been committed when syncs behind were asked for, and when these ended. */
  readonly behind: { readonly count: number; doneAt: Moment }[]
}

interface JournalRecording {
  readonly events: readonly MediumEvent[]
  readonly history: JournalHistory
  /** What the page cache held at the end. */
  readonly finalImage: Image
}

/** Commits, checkpoints, pauses and restarts drawn from the seed, then every crash of that, up to the limits. */
export async function exploreJournal(seed: number, limits: ExploreLimits): Promise<JournalOutcome> {
  const failures: JournalOutcome['failures'][number][] = []
  let states = 0
  try {
    const recording = await recordJournal(seed)
    const { events, history } = recording
    const random = new SimRandom(seed)
    for (let round = 0; round < rotsPerRun; round++) {
      const rot = chooseRot(recording, random)
      states++
      const message = rot === null ? null : await checkRot(recording, rot)
      if (rot !== null && message !== null)
        failures.push({ point: { seed, moment: 0, fates: kept, rot }, message })
      if (failures.length >= limits.failuresPerWorkload) return { states, failures }
    }
    const medium = new Medium(emptyImage)
    const perMoment = Math.max(2, Math.ceil((limits.statesPerWorkload / events.length) * 1.5))
    for (let moment = 0; moment <= events.length; moment++) {
      const choices = crashChoices(medium, random.chance(0.5) ? 'journalled' : 'adversarial', random, limits)
      while (choices.length > perMoment) choices.splice(random.below(choices.length), 1)
      for (const fates of choices) {
        states++
        const message = await checkJournal(medium.crashed(fateOf(fates)), history, moment)
        if (message !== null) failures.push({ point: { seed, moment, fates }, message })
        if (failures.length >= limits.failuresPerWorkload) return { states, failures }
      }
      const event = events[moment]
      if (event !== undefined) medium.apply(event)
    }
  } catch (error) {
    failures.push({
      point: { seed, moment: -1, fates: { lost: [], torn: [] } },
      message: describeError(error),
    })
  }
  return { states, failures }
}

/** Makes one state again; null when every promise is kept. */
export async function replayJournal({ seed, moment, fates, rot }: JournalPoint): Promise<string | null> {
  try {
    const recording = await recordJournal(seed)
    const { events, history } = recording
    if (moment < 0) return null
    if (rot !== undefined) return await checkRot(recording, rot)
    const medium = new Medium(emptyImage)
    for (const event of events.slice(0, moment)) medium.apply(event)
    return await checkJournal(medium.crashed(fateOf(fates)), history, moment)
  } catch (error) {
    return describeError(error)
  }
}

async function recordJournal(seed: number): Promise<JournalRecording> {
  const random = new SimRandom(seed)
  const events: MediumEvent[] = []
  const fs = new SimFileSystem({ onEvent: (event) => events.push(event) })
  const history: JournalHistory = { entries: [], behind: [], steps: 0 }
  const clock = new SimClock()
  // Without checkpoints everything stays in the journal, and with pauses later frames say what is durable.
  const lastKind = random.chance(0.4) ? 7 : 9
  for (let life = 0; life < 1 + random.below(3); life++) {
    const runtime = createSimRuntime(fs, { seed: random.next(), clock, pace: turnPace(random.fork()) })
    const { journal, found } = await settle(runtime, openJournal(runtime))
    const stored = storedAt(history, events.length)
    const there = new Set(found)
    for (const [index, entry] of history.entries.entries()) {
      if (!there.has(index) && index >= stored && entry.lostAt === never) entry.lostAt = events.length
    }
    journal.host = {
      async syncBehind() {
        const behind = { count: history.entries.length, doneAt: never }
        history.behind.push(behind)
        for (let turn = random.below(30); turn > 0; turn--) await null
        behind.doneAt = events.length
        return { logs: [] }
      },
    }
    const running: Promise<void>[] = []
    for (let step = 4 + random.below(20); step > 0; step--) {
      const kind = Math.min(random.below(10), lastKind)
      if (kind < 7) running.push(commitOne(journal, history, random, () => events.length))
      if (kind === 5 || (lastKind === 7 && random.chance(0.5)))
        await settle(runtime, Promise.all(running.splice(0)))
      if (kind === 7) await settle(runtime, Promise.all(running.splice(0))).then(() => clock.advance(60))
      if (kind === 8) clock.advance(6000)
      if (kind === 9) await settle(runtime, journal.checkpoint())
    }
    if (random.chance(0.5)) await settle(runtime, Promise.all(running))
    if (random.chance(0.3)) await settle(runtime, journal.close({ clean: random.chance(0.7) }))
    runtime.disk.kill()
    clock.forgetTimers()
  }
  return { events, history, finalImage: fs.image }
}

async function commitOne(
  journal: Journal,
  history: JournalHistory,
  random: SimRandom,
  now: () => Moment,
): Promise<void> {
  const count = 1 + random.below(4)
  const entries: JournalEntry[] = []
  const first = history.entries.length
  const commitStep = history.steps++
  for (let index = first; index < first + count; index++) {
    entries.push({ type: 'startOffset', logId, offset: index })
    const size = random.pick([0, 0, 300, 3000, 7000])
    if (size > 0) entries.push({ type: 'state', logId, kind: 1, bytes: new Uint8Array(size).fill(index) })
    history.entries.push({ committedAt: now(), ackedAt: never, commitStep, ackStep: never, lostAt: never })
  }
  try {
    await journal.commit(entries)
    const ackStep = history.steps++
    for (const entry of history.entries.slice(first, first + count)) {
      entry.ackedAt = now()
      entry.ackStep = ackStep
    }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
  }
}

function storedAt(history: JournalHistory, moment: Moment): number {
  return Math.max(0, ...history.behind.filter(({ doneAt }) => doneAt <= moment).map(({ count }) => count))
}

/** Opens the journal; `found` are the numbers of the entries that have to be replayed. */
async function openJournal(runtime: SimRuntime): Promise<{ journal: Journal; found: number[] }> {
  const options = { directory, directoryId, logger: silentLogger, fileBytes, journalBytes: 4 * fileBytes }
  const { journal, replay } = await Journal.open(runtime, options)
  if (replay.verdict.rot.length > 0) throw new Violation('the journal reports rot after a crash')
  const found: number[] = []
  for await (const entry of replay.entries()) {
    if (entry.type === 'startOffset') found.push(entry.offset)
    else if (
      entry.type === 'state' &&
      found.length > 0 &&
      entry.bytes.some((byte) => byte !== (found.at(-1)! & 0xff))
    ) {
      throw new Violation(`entry ${found.at(-1)} is replayed with other bytes`)
    }
  }
  return { journal, found }
}

/** Why a recovered journal breaks a promise; null when it does not. */
async function checkJournal(image: Image, history: JournalHistory, moment: Moment): Promise<string | null> {
  const fs = new SimFileSystem({ image })
  const runtime = createSimRuntime(fs, { pace: instantPace })
  try {
    const { found } = await settle(runtime, openJournal(runtime))
    return compareEntries(found, history, moment)
  } catch (error) {
    return describeError(error)
  } finally {
    runtime.disk.kill()
  }
}

function compareEntries(found: readonly number[], history: JournalHistory, moment: Moment): string | null {
  const stored = storedAt(history, moment)
  let at = 0
  let isOver = false
  for (const [index, { committedAt, ackedAt, lostAt }] of history.entries.entries()) {
    if (found[at] === index) {
      if (isOver) return `entry ${index} is there, an earlier one is not`
      if (committedAt > moment) return `entry ${index} is there before it was committed`
      if (lostAt <= moment) return `entry ${index} comes back, which an earlier start did not find`
      at++
      continue
    }
    if (lostAt <= moment || committedAt > moment || index < stored) continue
    if (ackedAt <= moment)
      return `entry ${index} was acknowledged and is neither in the journal nor stored elsewhere`
    isOver = true
  }
  return at === found.length
    ? null
    : `entry ${found[at]} is there and was never committed, or is out of its place`
}

const rotsPerRun = 150
const kept: Fates = { lost: [], torn: [] }

/** A byte of any block that a frame was written to; null when there is none. */
function chooseRot({ finalImage }: JournalRecording, random: SimRandom): Rot | null {
  const fs = new SimFileSystem({ image: finalImage })
  const written: Rot[] = []
  for (const { name } of fs.list(directory)) {
    if (!name.startsWith('journal-') || name.endsWith('.tmp')) continue
    const path = `${directory}/${name}`
    const bytes = Buffer.from(fs.contentOf(path))
    for (let position = blockBytes; position < bytes.length; position += blockBytes) {
      if (bytes.readUInt32BE(position + 4) > 0) written.push({ path, position })
    }
  }
  if (written.length === 0) return null
  const { path, position } = random.pick(written)
  return { path, position: position + random.below(blockBytes) }
}

/**
 * Why a journal with one damaged block breaks a promise: an entry that was acknowledged is missing, and a later one, which
 * says that it was durable, is not taken for the proof that it is.
 */
async function checkRot({ finalImage, history }: JournalRecording, rot: Rot): Promise<string | null> {
  const fs = new SimFileSystem({ image: finalImage })
  fs.damage(rot.path, (bytes) => bytes.with(rot.position, bytes[rot.position]! ^ 0x10))
  const runtime = createSimRuntime(fs, { pace: instantPace })
  try {
    const options = { directory, directoryId, logger: silentLogger, fileBytes, journalBytes: 4 * fileBytes }
    const { replay } = await settle(runtime, Journal.open(runtime, options))
    if (replay.verdict.rot.length > 0 || replay.damagedFiles.length > 0) return null
    const found = new Set<number>()
    for await (const entry of replay.entries()) if (entry.type === 'startOffset') found.add(entry.offset)
    const stored = storedAt(history, Number.MAX_SAFE_INTEGER)
    for (const [index, { ackStep }] of history.entries.entries()) {
      if (index < stored || ackStep === never || found.has(index)) continue
      const isProven = history.entries.some((later) => later.commitStep > ackStep && later.ackStep !== never)
      if (isProven) return `entry ${index} was durable, as a later frame says, and is missing without a word`
    }
    return null
  } catch (error) {
    return error instanceof EngineError ? null : describeError(error)
  } finally {
    runtime.disk.kill()
  }
}
