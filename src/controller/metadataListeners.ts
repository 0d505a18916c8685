import { messageOf } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { MetadataDelta } from './image.ts'
import type { MetadataListener } from './metadata.ts'

/** Who is told of changes of the metadata, in the order in which they came. */
export class MetadataListeners {
  readonly #logger: Logger
  readonly #all: MetadataListener[] = []

  constructor(logger: Logger) {
    this.#logger = logger
  }

  get isEmpty(): boolean {
    return this.#all.length === 0
  }

  /** Has `listener` told of every later change, after those who came before. */
  add(listener: MetadataListener): void {
    this.#all.push(listener)
  }

  /** Tells one after the other of a change, which stands whatever they make of it. Never rejects. */
  async tell(delta: MetadataDelta): Promise<void> {
    for (const listener of this.#all) {
      try {
        await listener(delta)
      } catch (cause) {
        this.#logger.error('a change of the metadata stands, but could not be acted on', {
          error: messageOf(cause),
        })
      }
    }
  }
}
