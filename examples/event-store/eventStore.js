// @ts-check
// An event store: one log per aggregate, optimistic concurrency by its end offset, projections rebuilt from the logs.
import { openEngine } from 'cordwood'

/**
 * @typedef {{ type: string } & Record<string, unknown>} Event
 * @typedef {{ id: string, version: number, event: Event }} StoredEvent
 */

/** An aggregate was changed by somebody else since it was loaded: load it again and decide anew. */
export class ConflictError extends Error {}

/** Events of aggregates. The version of an aggregate is how many events it has. */
export class EventStore {
  /** @type {import('cordwood').Engine<'journal'>} */
  #engine

  /** @param {import('cordwood').Engine<'journal'>} engine */
  constructor(engine) {
    this.#engine = engine
  }

  /** @param {string} directory */
  static async open(directory) {
    return new EventStore(await openEngine({ directory }))
  }

  /** Ids of all aggregates. */
  get ids() {
    return this.#engine.logs
  }

  /**
   * Folds the events of an aggregate into its state.
   * @template S
   * @param {string} id
   * @param {S} initial
   * @param {(state: S, event: Event) => S} evolve
   */
  async load(id, initial, evolve) {
    let state = initial
    let version = 0
    for await (const stored of this.events(id)) {
      state = evolve(state, stored.event)
      version = stored.version
    }
    return { state, version }
  }

  /**
   * Adds events to an aggregate that has `version` events, all of them or none; durable when it resolves.
   * @param {string} id
   * @param {number} version
   * @param {readonly Event[]} events
   * @returns {Promise<number>} the new version
   */
  async append(id, version, events) {
    const log = await this.#engine.log(id)
    const records = events.map((event) => ({ key: event.type, value: JSON.stringify(event) }))
    try {
      const { lastOffset } = await log.append(records, { expectedOffset: version })
      return lastOffset + 1
    } catch (error) {
      if (/** @type {{ code?: string }} */ (error).code !== 'conflict') throw error
      throw new ConflictError(`${id} is not at version ${version} any more`, { cause: error })
    }
  }

  /**
   * The events of an aggregate, oldest first.
   * @param {string} id
   * @returns {AsyncGenerator<StoredEvent>}
   */
  async *events(id) {
    if (!this.#engine.logs.includes(id)) return
    const log = await this.#engine.log(id)
    for await (const record of log.read()) {
      yield { id, version: record.offset + 1, event: /** @type {Event} */ (record.json()) }
    }
  }

  /**
   * Hands every event of every aggregate to a projection, in order within each aggregate.
   * @param {(stored: StoredEvent) => void} project
   */
  async replay(project) {
    for (const id of this.ids) for await (const stored of this.events(id)) project(stored)
  }

  close() {
    return this.#engine.close()
  }
}
