import { expect, test } from 'vitest'
import { EarlyRequests } from '../../src/replica/nodes/earlyRequests.ts'
import { CallKind, encodeAnswer } from '../../src/replica/nodes/nodeCalls.ts'
import { NodeRouter } from '../../src/replica/nodes/nodeRouter.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'

test('who asks a node that is about to start goes on asking: nothing was done yet, so nothing can be done twice', async () => {
  const asked = new EarlyRequests()
  let calls = 0
  const router = new NodeRouter({
    nodeId: 1,
    clusterId: 'cluster',
    clock: createNodeRuntime().clock,
    timeoutMs: 20_000,
    call: (_to, payload) => {
      const answer = asked.call(1, payload)
      if (++calls === 1) asked.answerCalls(async () => encodeAnswer({ baseOffset: 7 }))
      return answer
    },
  })
  const offset = await router.run({
    group: { leaderId: 2, watch: () => () => {} },
    name: 'orders',
    repeatable: false,
    local: () => Promise.reject(new Error('it is node 2 that leads')),
    request: { kind: CallKind.command },
    result: ({ baseOffset }) => baseOffset,
  })
  expect([offset, calls]).toEqual([7, 2])
})
