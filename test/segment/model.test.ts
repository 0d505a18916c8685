import { cpSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, filesIn, openLog, readAll, readBytes, testConfig } from './support.ts'

interface ModelBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly values: readonly string[]
  readonly timestampMs: number
}

/** A log that is an array. */
interface Model {
  batches: ModelBatch[]
  startOffset: number
  endOffset: number
}

interface Real {
  log: Log
  directory: string
  /** Copies after simulated crashes go here. */
  readonly root: string
  copies: number
  next: number
}

type LogCommand = fc.AsyncCommand<Model, Real>

const baseConfig: LogConfig = { ...testConfig, segmentBytes: 600, indexIntervalBytes: 150 }

function records(model: Model): string[] {
  return model.batches.flatMap(({ baseOffset, values }) =>
    values
      .map((value, index) => `${baseOffset + index} ${value}`)
      .filter((_, index) => baseOffset + index >= model.startOffset),
  )
}

async function check(model: Model, { log }: Real): Promise<void> {
  expect(log.offline).toBe(null)
  expect([log.logStartOffset, log.logEndOffset, log.flushedOffset]).toEqual([
    model.startOffset,
    model.endOffset,
    model.endOffset,
  ])
  const found = await readAll(log)
  expect(found.map(({ offset, value }) => `${offset} ${Buffer.from(value!).toString()}`)).toEqual(
    records(model),
  )
}

class Append implements LogCommand {
  readonly counts: number[]
  readonly size: number
  readonly timeStep: number

  constructor(counts: number[], size: number, timeStep: number) {
    this.counts = counts
    this.size = size
    this.timeStep = timeStep
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    for (const count of this.counts) {
      const values = Array.from({ length: count }, () => `${real.next++}`.padEnd(this.size, '.'))
      const timestampMs = 1_600_000_000_000 + real.next * this.timeStep
      const { baseOffset, lastOffset } = await append(real.log, batchOf(values, { timestampMs }), 3)
      expect([baseOffset, lastOffset]).toEqual([model.endOffset, model.endOffset + count - 1])
      model.batches.push({ baseOffset, lastOffset, values, timestampMs })
      model.endOffset += count
    }
    await check(model, real)
  }

  toString(): string {
    return `append(${this.counts} x ${this.size} bytes, ${this.timeStep} ms)`
  }
}

class ReadAnywhere implements LogCommand {
  readonly at: number
  readonly span: number
  readonly maxBytes: number

  constructor(at: number, span: number, maxBytes: number) {
    this.at = at
    this.span = span
    this.maxBytes = maxBytes
  }

  check(model: Readonly<Model>): boolean {
    return model.endOffset > model.startOffset
  }

  async run(model: Model, { log }: Real): Promise<void> {
    const count = model.endOffset - model.startOffset
    const offset = model.startOffset + Math.floor(this.at * count)
    // Ends only ever lie between batches.
    const after = model.batches.filter(({ lastOffset }) => lastOffset >= offset)
    const end = after[Math.floor(this.span * (after.length - 1))]!.lastOffset + 1
    const bytes = Buffer.from((await readBytes(log, offset, this.maxBytes, end))!)
    const seen: number[] = []
    for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) {
      seen.push(Number(bytes.readBigInt64BE(at)))
    }
    const wanted = after.filter(({ lastOffset }) => lastOffset < end).map(({ baseOffset }) => baseOffset)
    expect(seen).toEqual(wanted.slice(0, seen.length))
    if (seen.length > 1) expect(bytes.length).toBeLessThanOrEqual(this.maxBytes)
    const small = await log.read(offset, 1, end, false)
    expect(small).toBe(null)
  }

  toString(): string {
    return `read(${this.at}, ${this.span}, ${this.maxBytes})`
  }
}

class FindTime implements LogCommand {
  readonly at: number

  constructor(at: number) {
    this.at = at
  }

  check(model: Readonly<Model>): boolean {
    return model.batches.length > 0
  }

  async run(model: Model, { log }: Real): Promise<void> {
    const live = model.batches.filter(({ lastOffset }) => lastOffset >= model.startOffset)
    const times = model.batches.map(({ timestampMs }) => timestampMs)
    const wanted = times[Math.floor(this.at * times.length)]!
    const first = live.find(({ timestampMs }) => timestampMs >= wanted)
    const found = await log.offsetForTimestamp(wanted)
    expect(found?.offset).toBe(
      first === undefined ? undefined : Math.max(first.baseOffset, model.startOffset),
    )
    const latest = await log.maxTimestamp()
    expect(latest?.timestampMs).toBe(
      live.length === 0 ? undefined : Math.max(...live.map((batch) => batch.timestampMs)),
    )
  }

  toString(): string {
    return `findTime(${this.at})`
  }
}

class Truncate implements LogCommand {
  readonly at: number

  constructor(at: number) {
    this.at = at
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    const offset = model.startOffset + Math.floor(this.at * (model.endOffset - model.startOffset + 1))
    await real.log.truncate(offset)
    const kept = model.batches.filter(({ lastOffset }) => lastOffset < offset)
    const cut = model.batches.find(({ lastOffset }) => lastOffset >= offset)
    model.batches = kept
    if (cut !== undefined) model.endOffset = cut.baseOffset
    if (model.startOffset > model.endOffset) model.startOffset = model.endOffset
    expect(real.log.logStartOffset).toBe(model.startOffset)
    await check(model, real)
  }

  toString(): string {
    return `truncate(${this.at})`
  }
}

class DeleteRecords implements LogCommand {
  readonly at: number

  constructor(at: number) {
    this.at = at
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    model.startOffset += Math.floor(this.at * (model.endOffset - model.startOffset + 1))
    await real.log.deleteRecordsBefore(model.startOffset)
    await check(model, real)
  }

  toString(): string {
    return `deleteRecords(${this.at})`
  }
}

class CleanRestart implements LogCommand {
  readonly withNotes: boolean
  readonly loseIndexes: boolean

  constructor(withNotes: boolean, loseIndexes: boolean) {
    this.withNotes = withNotes
    this.loseIndexes = loseIndexes
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    await real.log.close({ clean: true })
    if (this.loseIndexes)
      for (const name of filesIn(real.directory, 'index')) rmSync(`${real.directory}/${name}`)
    real.log = await openLog(real.directory, {
      config: real.log.config,
      recoveryPoint: real.log.recoveryPoint,
      logStartOffset: model.startOffset,
      cleanShutdown: true,
      closedState: this.withNotes ? real.log.closedState : null,
    })
    await check(model, real)
  }

  toString(): string {
    return `cleanRestart(${this.withNotes ? 'noted' : 'not noted'}${this.loseIndexes ? ', indexes lost' : ''})`
  }
}

/** The machine dies: the files are what they are, the end of the last one may be torn above the recovery point. */
class Crash implements LogCommand {
  readonly tear: number
  readonly loseIndexes: boolean

  constructor(tear: number, loseIndexes: boolean) {
    this.tear = tear
    this.loseIndexes = loseIndexes
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    await real.log.prepareCheckpoint()
    const { recoveryPoint } = real.log
    const directory = `${real.root}/crash-${real.copies++}`
    cpSync(real.directory, directory, { recursive: true })
    await real.log.close({ clean: false })
    real.directory = directory
    if (this.loseIndexes) for (const name of filesIn(directory, 'index')) rmSync(`${directory}/${name}`)
    const last = readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-1)
    if (last !== undefined && this.tear > 0) this.#tear(model, `${directory}/${last}`, recoveryPoint)
    real.log = await openLog(directory, {
      config: real.log.config,
      recoveryPoint,
      logStartOffset: model.startOffset,
    })
    await check(model, real)
  }

  /** Cuts the file above the recovery point, and the model with it. */
  #tear(model: Model, path: string, recoveryPoint: number): void {
    const baseOffset = Number(path.slice(-24, -4))
    let position = 0
    const ends: { readonly batch: ModelBatch; readonly end: number }[] = []
    for (const batch of model.batches.filter((each) => each.baseOffset >= baseOffset)) {
      position += batchOf(batch.values, { timestampMs: batch.timestampMs }).length
      ends.push({ batch, end: position })
    }
    const durable = Math.max(recoveryPoint, model.startOffset)
    const floor = ends.findLast(({ batch }) => batch.baseOffset < durable)?.end ?? 0
    const { size } = statSync(path)
    const cut = floor + Math.floor((size - floor) * this.tear)
    truncateSync(path, cut)
    const lost = ends.filter(({ end }) => end > cut).map(({ batch }) => batch)
    model.batches = model.batches.filter((batch) => !lost.includes(batch))
    if (lost[0] !== undefined) model.endOffset = lost[0].baseOffset
  }

  toString(): string {
    return `crash(tear ${this.tear}${this.loseIndexes ? ', indexes lost' : ''})`
  }
}

const fraction = fc.double({ min: 0, max: 0.999, noNaN: true })
const commands = fc.commands(
  [
    fc
      .tuple(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: -2, max: 3 }),
      )
      .map(([counts, size, step]) => new Append(counts, size, step)),
    fc
      .tuple(fraction, fraction, fc.integer({ min: 1, max: 2000 }))
      .map(([at, span, maxBytes]) => new ReadAnywhere(at, span, maxBytes)),
    fraction.map((at) => new FindTime(at)),
    fraction.map((at) => new Truncate(at)),
    fraction.map((at) => new DeleteRecords(at * at * at)),
    fc.tuple(fc.boolean(), fc.boolean()).map(([noted, lose]) => new CleanRestart(noted, lose)),
    fc.tuple(fraction, fc.boolean()).map(([tear, lose]) => new Crash(tear, lose)),
  ],
  { maxCommands: 25 },
)

test.each(['none', 'batch'] as const)(
  'a log under policy %s is an array of batches, whatever is done to it',
  async (flush) => {
    const root = temporaryDirectory()
    let runs = 0
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const directory = `${root}/run-${runs++}`
        mkdirSync(directory)
        const real: Real = {
          log: await openLog(directory, { config: { ...baseConfig, flush } }),
          directory,
          root: `${directory}-crashes`,
          copies: 0,
          next: 0,
        }
        await fc.asyncModelRun(
          () => ({ model: { batches: [], startOffset: 0, endOffset: 0 }, real }),
          sequence,
        )
        await real.log.close({ clean: false })
        rmSync(directory, { recursive: true })
        rmSync(`${directory}-crashes`, { recursive: true, force: true })
      }),
      { numRuns: flush === 'none' ? 120 : 30 },
    )
  },
  120_000,
)
