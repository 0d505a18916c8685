import { EngineError } from '../../../src/model/errors.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'

/** A real disk on which directories of chosen names cannot be made, or not before a test allows it. */
export class GatedDisk {
  readonly runtime: Runtime
  /** Ends of paths that are refused for want of room. */
  readonly refused = new Set<string>()
  readonly #gates = new Map<string, { readonly isOpen: Promise<void>; reached(): void }>()

  constructor() {
    const inner = createNodeRuntime()
    const disk = new Proxy(inner.disk, {
      get: (target, name) => {
        if (name === 'makeDirectory') {
          return async (path: string): Promise<void> => {
            const last = path.slice(path.lastIndexOf('/') + 1)
            const gate = this.#gates.get(last)
            gate?.reached()
            await gate?.isOpen
            if (this.refused.has(last)) throw new EngineError('diskFull', 'no space left')
            await target.makeDirectory(path)
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    this.runtime = { ...inner, disk }
  }

  /** Whoever makes this directory waits until `open` is called; `reached` resolves when somebody does. */
  hold(directory: string): { open: () => void; reached: Promise<void> } {
    let open = (): void => {}
    let reached = (): void => {}
    const isOpen = new Promise<void>((resolve) => (open = resolve))
    const isReached = new Promise<void>((resolve) => (reached = resolve))
    this.#gates.set(directory, { isOpen, reached })
    return { open, reached: isReached }
  }
}
