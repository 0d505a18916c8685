import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

test.each([false, true])('writes, reads and echoes, native %s', async (native) => {
  const directory = temporaryDirectory()
  const { disk, network, checksum } = createRuntime({native})
  const file = disk.file(join(directory, 'a'))
  await disk.submit([
    { file, position: 0, parts: [Buffer.from('hello '), Buffer.from('world')], sync: 'dataAndName' },
    { file, position: 11, parts: [Buffer.from('!')], sync: 'none' },
  ])
  const target = Buffer.alloc(20)
  expect(await file.read(target, 0)).toBe(12)
  expect(target.toString('latin1', 0, 12)).toBe('hello world!')
  expect(checksum.crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  const lock = await disk.lock(join(directory, '.lock'), 'me')
  await expect(disk.lock(join(directory, '.lock'), 'you')).rejects.toThrow(/in use by me/)
  await lock.release()
  const again = await disk.lock(join(directory, '.lock'), 'you')
  await again.release()
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    connection.start({
      data: (chunk) => connection.send([Buffer.from(chunk), { file, position: 0, lengthBytes: 5 }]),
      end: () => connection.end(),
      drain: () => {},
      close: () => {},
    })
  })
  const client = await network.connect(listener.address, 1000)
  const received: Buffer[] = []
  const closed = new Promise<Error | null>((resolve) => {
    client.start({
      data: (chunk) => {
        received.push(Buffer.from(chunk))
        if (Buffer.concat(received).length === 8) client.end()
      },
      end: () => {},
      drain: () => {},
      close: resolve,
    })
  })
  client.send([Buffer.from('abc')])
  expect(await closed).toBeNull()
  expect(Buffer.concat(received).toString()).toBe('abchello')
  await listener.close()
  await disk.close()
})
