import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { SocketSender } from '../../src/runtime/node/sender.ts'
import type { EngineLink } from '../../src/zerocopy/engineLink.ts'
import type { NativeDisk } from '../../src/zerocopy/nativeDisk.ts'
import { createSender } from '../../src/zerocopy/nativeSender.ts'

test('a connection that no descriptor is left to duplicate for is sent to by Node', () => {
  const attach = (): never => {
    throw new Error('Too many open files (os error 24)')
  }
  const link = { engine: { attach } } as unknown as EngineLink
  const socket = { _handle: { fd: 7 } } as unknown as Socket
  const events = { drained: () => {}, failed: () => {} }
  expect(createSender(link, {} as NativeDisk, socket, events)).toBeInstanceOf(SocketSender)
})
