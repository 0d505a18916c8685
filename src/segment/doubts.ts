import type { Logger } from '../model/logger.ts'
import type { JournalReplay } from './journal/journalReplay.ts'

const endUnproven = 1
const rotten = 2
/** As `rotten`, and nobody has seen yet that the log has all its records. */
const recordsUnchecked = 4

/**
 * What starts had to leave open about a log, since the journal or the log was damaged. Kept with the log in the node checkpoint until it is
 * settled: what showed it is gone as soon as the journal has let go of the damaged file.
 */
export class Doubts {
  #bits: number
  readonly #store: (bytes: Uint8Array) => Promise<void>

  /** `store` makes durable what is left. */
  constructor(bits: number, store: (bytes: Uint8Array) => Promise<void>) {
    this.#bits = bits
    this.#store = store
  }

  /** As it is stored; 0 for nothing. */
  get bits(): number {
    return this.#bits
  }

  /** What is missing at the end of the journal, or the log, may have been durable, and whoever votes with the log does not know. */
  get isEndUnproven(): boolean {
    return (this.#bits & endUnproven) !== 0
  }

  /** The journal has lost what was durable, votes maybe, and whoever votes with the log does not know. */
  get isRotten(): boolean {
    return (this.#bits & rotten) !== 0
  }

  /** The journal has lost what was durable, and records of the log may be among that. */
  get mayLackRecords(): boolean {
    return (this.#bits & recordsUnchecked) !== 0
  }

  /** The log was opened, and lacks nothing. */
  recordsChecked(): void {
    this.#bits &= ~recordsUnchecked
  }

  /** What opening the log has to know of them. */
  get forOpening(): { readonly journalIsDamaged: boolean; mayLackEnd(): Promise<void> } {
    return { journalIsDamaged: this.mayLackRecords, mayLackEnd: () => this.lackEnd() }
  }

  /** Records at the end of the log are about to go that may have been acknowledged. Known to every start once this resolves. */
  async lackEnd(): Promise<void> {
    if (this.isEndUnproven) return
    this.#bits |= endUnproven
    await this.#store(Uint8Array.of(this.#bits))
  }

  /** Whoever votes with the log knows, durably. So does every later start once this resolves. */
  async settle(): Promise<void> {
    if ((this.#bits & (endUnproven | rotten)) === 0) return
    this.#bits &= recordsUnchecked
    await this.#store(Uint8Array.of(this.#bits))
  }
}

/** The bits of what a start finds by itself. */
export function doubtsIn({ verdict, damagedFiles }: JournalReplay): number {
  const isRotten = verdict.rot.length > 0 || damagedFiles.length > 0
  const isUnproven = verdict.end === 'tearUnproven'
  return (isRotten ? rotten | recordsUnchecked : 0) | (isUnproven ? endUnproven : 0)
}

/** Tells of what is wrong with the journal. */
export function tellDoubts({ verdict, damagedFiles }: JournalReplay, logger: Logger): void {
  for (const { file, position, fromSequence, toSequence } of verdict.rot) {
    logger.error('the journal is damaged where it was durable; logs that lack what it held stay offline', {
      file,
      position,
      fromSequence,
      toSequence,
    })
  }
  for (const file of damagedFiles)
    logger.error('a journal file has a damaged head, or is too short', { file })
  if (verdict.end === 'tear') logger.info('cut the torn end of the journal: it was never durable', {})
  if (verdict.end === 'tearUnproven') {
    logger.warn('cut the torn end of the journal; that it was never durable cannot be proven', {})
  }
}
