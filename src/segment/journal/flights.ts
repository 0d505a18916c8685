import { EngineError } from '../../model/errors.ts'
import { planted } from '../../model/planted.ts'
import type { DiskWrite } from '../../runtime/disk.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import type { StagedFrame } from './framePool.ts'
import type { JournalStats } from './journalStats.ts'
import type { JournalPlace } from './nodeCheckpoint.ts'

/** Frames that are handed to the disk together: one with entries, before it one that closes a file. */
export interface Flight {
  /** Where the first one begins. */
  readonly place: JournalPlace
  readonly lastSequence: number
  readonly frame: StagedFrame
  readonly closing: StagedFrame | null
  /** The bytes are those of the frames, and stay until the flight has landed. */
  readonly writes: readonly DiskWrite[]
  /** What else has to be durable before the frame counts. */
  readonly begin: (() => Promise<void>) | null
}

/** What becomes of flights. */
export interface FlightEvents {
  /** In the order of their sequences. */
  landed(flight: Flight): void
  /** After any number of `landed`, for all of them. */
  changed(): void
  /** There was no room or no descriptor: nothing is lost, and `again` may help. Nothing is under way. */
  refused(error: EngineError): void
  /** Nobody knows what has been stored. */
  failed(error: unknown): void
}

type State = 'underWay' | 'refused' | 'landed'

/** Frames on their way to the disk. They land in order, however the disk completes them. */
export class Flights {
  readonly #runtime: Pick<Runtime, 'clock' | 'disk'>
  readonly #stats: JournalStats
  readonly #events: FlightEvents
  readonly #line: { readonly flight: Flight; state: State }[] = []
  #refusal: EngineError | null = null

  constructor(runtime: Pick<Runtime, 'clock' | 'disk'>, stats: JournalStats, events: FlightEvents) {
    this.#runtime = runtime
    this.#stats = stats
    this.#events = events
  }

  get count(): number {
    return this.#line.length
  }

  /** Bytes that have not landed. */
  get bytes(): number {
    let bytes = 0
    for (const { flight } of this.#line) for (const { parts } of flight.writes) bytes += parts[0]!.length
    return bytes
  }

  get first(): Flight | null {
    return this.#line[0]?.flight ?? null
  }

  /** What has not landed, in order. */
  *flights(): Generator<Flight> {
    for (const { flight } of this.#line) yield flight
  }

  /** Whether the disk has refused something; nothing is sent before `again`. */
  get isRefused(): boolean {
    return this.#refusal !== null
  }

  /** Whether nothing happens any more unless somebody makes it happen. */
  get isStuck(): boolean {
    return this.isRefused && !this.#line.some(({ state }) => state === 'underWay')
  }

  send(flight: Flight): void {
    const item = { flight, state: 'underWay' as State }
    flight.frame.sentMs = this.#runtime.clock.monotonicMs()
    this.#line.push(item)
    this.#submit(item)
  }

  /** Sends what was refused once more: the same bytes to the same places. */
  again(): void {
    this.#refusal = null
    for (const item of this.#line) if (item.state === 'refused') this.#submit(item)
  }

  /** Forgets everything, and gives what was on its way. */
  drop(): Flight[] {
    return this.#line.splice(0).map(({ flight }) => flight)
  }

  #submit(item: { readonly flight: Flight; state: State }): void {
    item.state = 'underWay'
    const { writes, begin } = item.flight
    const written = this.#runtime.disk.submit(writes, 'urgent')
    const stored = begin === null ? written : Promise.all([written, begin()])
    stored.then(
      () => this.#landed(item),
      (error) => {
        if (!planted('retryFailedSync')) this.#notLanded(item, error)
        else this.#syncAgain(item).catch((later) => this.#notLanded(item, later))
      },
    )
  }

  #landed(item: { readonly flight: Flight; state: State }): void {
    item.state = 'landed'
    this.#stats.landed(item.flight.frame, this.#runtime.clock.monotonicMs())
    while (this.#line[0]?.state === 'landed') this.#events.landed(this.#line.shift()!.flight)
    this.#events.changed()
    this.#checkStuck()
  }

  #notLanded(item: { readonly flight: Flight; state: State }, error: unknown): void {
    // Only ever of opening or writing: what a sync may have lost is another error.
    if (!(error instanceof EngineError) || (error.code !== 'diskFull' && error.code !== 'queueFull')) {
      this.#events.failed(error)
      return
    }
    item.state = 'refused'
    this.#refusal = error
    this.#checkStuck()
  }

  #checkStuck(): void {
    if (this.#refusal !== null && this.isStuck) this.#events.refused(this.#refusal)
  }

  /** What must never be done: the system tells of a failure once, and has forgotten what it could not store. */
  async #syncAgain(item: { readonly flight: Flight; state: State }): Promise<void> {
    for (const { file } of item.flight.writes) {
      await file.close()
      await file.sync()
    }
    this.#landed(item)
  }
}
