import { expect, test } from 'vitest'
import type { GroupListener } from '../../src/replica/groupTypes.ts'
import { CallKind, type CallResponse, encodeAnswer } from '../../src/replica/nodes/nodeCalls.ts'
import { NodeRouter } from '../../src/replica/nodes/nodeRouter.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'

/** A group that node 2 leads, which answers nothing, until it is told that node 3 does. */
function world() {
  const listeners = new Set<GroupListener>()
  const asked: number[] = []
  let settle: { resolve(bytes: Uint8Array): void; reject(error: Error): void } | null = null
  const silent = new Promise<Uint8Array>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const group = {
    leaderId: 2,
    watch(listener: GroupListener): () => void {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const router = new NodeRouter({
    nodeId: 1,
    clusterId: 'cluster',
    clock: createNodeRuntime().clock,
    timeoutMs: 20_000,
    call: async (to) => {
      asked.push(to)
      return to === 2 ? silent : encodeAnswer({ baseOffset: 7 })
    },
  })
  const run = (repeatable: boolean): Promise<number> =>
    router.run({
      group,
      name: 'orders',
      repeatable,
      local: () => Promise.reject(new Error('node 1 does not lead')),
      request: { kind: CallKind.command },
      result: ({ baseOffset }: CallResponse) => baseOffset,
    })
  const elect = (leaderId: number): void => {
    group.leaderId = leaderId
    for (const listener of listeners) listener.leadership?.('follower', 2, leaderId)
  }
  return { asked, elect, listeners, run, late: settle! }
}

test('what may be repeated is asked of the next leader, also when the former one neither answers nor breaks off', async () => {
  const { asked, elect, listeners, run, late } = world()
  const offset = run(true)
  await expect.poll(() => asked).toEqual([2])
  elect(-1)
  elect(3)
  expect(await offset).toBe(7)
  expect(asked).toEqual([2, 3])
  expect(listeners.size).toBe(0)
  // Nobody waits for it any more, and nobody trips over it.
  late.reject(new Error('too late'))
})

test('what may not be repeated waits for its answer, whoever leads', async () => {
  const { asked, elect, run, late } = world()
  const offset = run(false)
  await expect.poll(() => asked).toEqual([2])
  elect(3)
  late.resolve(encodeAnswer({ baseOffset: 4 }))
  expect(await offset).toBe(4)
  expect(asked).toEqual([2])
})
