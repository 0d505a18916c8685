/** The state of a machine, in pieces that `restore` is given again one by one. */
export type MachineState =
  | Uint8Array
  | string
  | Iterable<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>

/** What a user's `snapshot` gave, as chunks of bytes. */
export function chunksOf(state: MachineState): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof state === 'string' || state instanceof Uint8Array) return [bytesOf(state)]
  if (typeof state !== 'object' || state === null) throw new TypeError('snapshot has to return the state')
  if (Symbol.iterator in state) return [...state].map(bytesOf)
  return bytesOfEach(state)
}

function bytesOfEach(chunks: AsyncIterable<Uint8Array | string>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = chunks[Symbol.asyncIterator]()
      return {
        next: async () => {
          const result = await iterator.next()
          return result.done ? result : { done: false, value: bytesOf(result.value) }
        },
        return: async () => {
          await iterator.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}

function bytesOf(chunk: Uint8Array | string): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}
