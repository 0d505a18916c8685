import type { GroupListener } from './groupTypes.ts'

/** Whoever is told of what happens to one group. */
export class GroupListeners {
  #listeners: readonly GroupListener[] = []

  /** Has `listener` told of what happens from now on, until the returned function is called. */
  watch(listener: GroupListener): () => void {
    // Not spread: that makes room for sixteen more.
    this.#listeners = this.#listeners.concat(listener)
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener)
    }
  }

  /** Tells all of them. */
  tell(tell: (listener: GroupListener) => void): void {
    for (const listener of this.#listeners) tell(listener)
  }
}
