/** Who waits for which signal. */
const waiting = new WeakMap<EventTarget, Set<() => void>>()

/**
 * Calls `wake` once `signal`, which is not aborted yet, is. Gives what takes that back. However many wait for a signal, it has
 * one listener of theirs: Node takes eleven for a leak, and says so.
 */
export function onAbort(signal: AbortSignal, wake: () => void): () => void {
  const wakes = waiting.get(signal) ?? new Set()
  waiting.set(signal, wakes)
  wakes.add(wake)
  // The same listener again is not added.
  signal.addEventListener('abort', wakeAll)
  return () => {
    wakes.delete(wake)
    if (wakes.size === 0) signal.removeEventListener('abort', wakeAll)
  }
}

function wakeAll({ target }: Event): void {
  for (const wake of waiting.get(target!) ?? []) wake()
}
