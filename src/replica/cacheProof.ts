import { toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import { randomUuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from '../segment/checkpointFile.ts'

/** What a proof needs of the world. */
type ProofRuntime = Pick<Runtime, 'disk' | 'random'>

/** The file of a data directory that has the word. */
export const cacheWordFile = '.cordwood_cache'

/**
 * Whether the page cache has kept what earlier processes of a node wrote into it. A word stands in the data directory, and in
 * the state of each replica that rests on the cache; it names the mount and the start of the machine, and a number of its own.
 * Whatever may have taken bytes out of the cache has another word made at the next start: then replicas have one that is no
 * more. Source: fault model, section 2.
 */
export class CacheProof {
  readonly #runtime: ProofRuntime
  readonly #directory: string
  readonly #logger: Logger
  /** The word that the last start left; null for none. */
  readonly #before: string | null
  #word: Promise<string | null> | null
  #isLost = false

  private constructor(
    runtime: ProofRuntime,
    directory: string,
    logger: Logger,
    before: string | null,
    isKept: boolean,
  ) {
    this.#runtime = runtime
    this.#directory = directory
    this.#logger = logger
    this.#before = before
    this.#word = isKept ? Promise.resolve(before) : null
  }

  /**
   * Looks at what the last start of a node has left. To be called before anything else reads the directory: the first sync of
   * the file system is the one that is told of what could not be written. Changes nothing.
   */
  static async look(runtime: ProofRuntime, directory: string, logger: Logger): Promise<CacheProof> {
    let before: string | null = null
    let isKept = false
    try {
      before = await readTextIfThere(runtime.disk, `${directory}/${cacheWordFile}`)
      isKept = before !== null && (await isAsBefore(runtime, directory, before))
    } catch (cause) {
      // Without proof replicas catch up before they count.
      logger.warn('nothing proves that the page cache is whole', { directory, error: String(cause) })
    }
    return new CacheProof(runtime, directory, logger, before, isKept)
  }

  /**
   * The word of this start, stored; null where there is none. Whoever puts it into the state of a replica has made durable
   * before that the replica may have forgotten something, where it may.
   */
  word(): Promise<string | null> {
    this.#word ??= this.#makeWord()
    return this.#word.then((word) => (this.#isLost ? null : word))
  }

  /** Whether a replica that has `seen` in its state has all that it had; `isClean`: the node was closed in order before. */
  async covers(seen: string | null, isClean: boolean): Promise<boolean> {
    if (seen === null || this.#before === null) return isClean
    if (isClean && seen === this.#before) return true
    return seen === (await this.word())
  }

  /** Something could not be written, or read: at the next start nothing is proven. */
  lose(): void {
    if (this.#isLost) return
    this.#isLost = true
    // Only what this start of the machine sees counts, so that the removal need not be durable.
    this.#runtime.disk.remove(`${this.#directory}/${cacheWordFile}`).catch((cause) => {
      this.#logger.error('what proves that the page cache is whole could not be removed', {
        directory: this.#directory,
        error: String(cause),
      })
    })
  }

  async #makeWord(): Promise<string | null> {
    const { disk, random } = this.#runtime
    try {
      const mount = (await disk.mountOf?.(this.#directory)) ?? null
      if (mount === null) return null
      const word = `${mount} ${randomUuid(random)}`
      await disk.replaceFile(`${this.#directory}/${cacheWordFile}`, Buffer.from(word))
      return word
    } catch (cause) {
      const { message } = toEngineError(cause, 'diskFailed', 'the word could not be stored')
      this.#logger.warn('the next start will not prove that the page cache is whole', { error: message })
      return null
    }
  }
}

/** Whether the mount is the one of `word`, and everything in its page cache could be written. */
async function isAsBefore({ disk }: ProofRuntime, directory: string, word: string): Promise<boolean> {
  const mount = (await disk.mountOf?.(directory)) ?? null
  if (mount === null || disk.syncFileSystem === undefined) return false
  if (!word.startsWith(`${mount} `) && !planted('mountNotCompared')) return false
  await disk.syncFileSystem(directory)
  return true
}
