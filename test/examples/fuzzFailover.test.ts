import fc from 'fast-check'
import { expect, test } from 'vitest'
import { failover } from '../../examples/fuzz-failover/fuzz.js'
import { Tickets } from '../../examples/fuzz-failover/tickets.js'

test('tickets that were sold stay sold under the faults of a simulated world', async () => {
  await fc.assert(failover(), { numRuns: 12 })
})

test('a machine that keeps something beside its state is found, with the faults that it takes', async () => {
  /** Forgets at a restart who was refused: what it sells then depends on when its process began. */
  class Forgetful extends Tickets {
    #seen = 0

    override apply(command: Parameters<Tickets['apply']>[0]): number {
      this.#seen++
      if (this.#seen % 5 === 0) this.owners.push(`nobody, since ${this.#seen} have asked this process`)
      return super.apply(command)
    }

    override async restore(): Promise<void> {}
  }
  let made = 0
  const details = await fc.check(
    failover(() => (made++ % 2 === 0 ? new Tickets() : new Forgetful())),
    { numRuns: 20, endOnFailure: true },
  )
  expect(details.failed).toBe(true)
  expect(String(details.errorInstance)).toContain('has ticket')
})
