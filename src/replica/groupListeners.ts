import type { GroupListener } from './groupTypes.ts'

/** Whoever is told of what happens to one group. */
export class GroupListeners {
  #listeners: readonly GroupListener[] = []

  /** Has `listener` told of what happens from now on, until the returned function is called. */
  watch(listener: GroupListener): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener)
    }
  }

  /** Tells all of them. */
  tell(tell: (listener: GroupListener) => void): void {
    for (const listener of this.#listeners) tell(listener)
  }
}
