import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientConnection, type ConnectionLimits } from '../../src/broker/connection.ts'
import type { Exchange } from '../../src/broker/exchange.ts'
import { RequestPool } from '../../src/broker/requestPool.ts'
import { FakeSocket, frame, LineLogger, ManualClock } from './support/fakes.ts'

const limits: ConnectionLimits = {
  maxRequestBytes: 1_000_000,
  maxInFlight: 5,
  maxUnsentBytes: 100,
  maxIdleMs: 600_000,
  headerMs: 10_000,
  stallMs: 60_000,
  minBytesPerMs: 64,
}

/**
 * A connection whose requests are text; `auto` answers each at once with the same text. How much has arrived of large
 * requests goes to `arrived`; without it they are not begun before they are whole.
 */
function world({ pool = new RequestPool(1024 * 1024), auto = true, arrived = null as number[] | null } = {}) {
  const clock = new ManualClock()
  const logger = new LineLogger()
  const socket = new FakeSocket()
  const exchanges: Exchange[] = []
  const requests: string[] = []
  let gone = 0
  const connection = new ClientConnection(socket, {
    clock,
    log: logger.limited(clock),
    pool,
    limits,
    dispatch: (exchange) => {
      exchanges.push(exchange)
      const text = Buffer.from(exchange.requestBytes).toString()
      requests.push(text)
      if (auto) exchange.answer([Buffer.from(`<${text}>`)])
    },
    begin: (exchange, arrivedBytes) => {
      if (arrived === null) return null
      exchanges.push(exchange)
      arrived.push(arrivedBytes)
      return { arrived: (bytes) => void arrived.push(bytes) }
    },
    gone: () => {
      gone += 1
    },
  })
  connection.start()
  return { clock, logger, socket, exchanges, requests, connection, pool, gone: () => gone }
}

const reply = (text: string): Uint8Array[] => [Buffer.from(`<${text}>`)]

test('requests come out whole however the stream is cut, and answers leave in their order', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' }),
          fc.constant('L'.repeat(5000)),
        ),
        {
          minLength: 1,
          maxLength: 20,
        },
      ),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 50 }),
      (texts, cuts) => {
        const { socket, requests } = world()
        const stream = Buffer.concat(texts.map(frame))
        for (let at = 0, cut = 0; at < stream.length; cut++) {
          const count = cuts[cut % cuts.length]!
          socket.receive(stream.subarray(at, at + count))
          at += count
        }
        expect(requests).toEqual(texts)
        expect(socket.text).toBe(texts.map((text) => `<${text}>`).join(''))
      },
    ),
  )
})

test('answers wait for those before them', () => {
  const { socket, exchanges } = world({ auto: false })
  socket.receive(Buffer.concat(['a', 'b', 'c'].map(frame)))
  exchanges[2]!.answer(reply('c'))
  exchanges[1]!.skip()
  expect(socket.text).toBe('')
  exchanges[0]!.answer(reply('a'))
  expect(socket.text).toBe('<a><c>')
})

test('a request that holds keeps the later ones back until it proceeds', () => {
  const { socket, exchanges, requests } = world({ auto: false })
  socket.receive(frame('first'))
  exchanges[0]!.hold()
  socket.receive(Buffer.concat([frame('second'), frame('third')]))
  expect(requests).toEqual(['first'])
  expect(socket.isPaused).toBe(true)
  exchanges[0]!.proceed()
  expect(requests).toEqual(['first', 'second', 'third'])
  expect(socket.isPaused).toBe(false)
})

test('an answer ends the hold', () => {
  const { socket, exchanges, requests } = world({ auto: false })
  socket.receive(frame('first'))
  exchanges[0]!.hold()
  socket.receive(frame('second'))
  exchanges[0]!.answer(reply('first'))
  expect(requests).toEqual(['first', 'second'])
})

test('no more than maxInFlight requests are begun, whatever has arrived', () => {
  const { socket, exchanges, requests, connection } = world({ auto: false })
  socket.receive(Buffer.concat(Array.from({ length: 30 }, (_, index) => frame(`r${index}`))))
  expect(requests).toHaveLength(5)
  expect(connection.inFlight).toBe(5)
  expect(socket.isPaused).toBe(true)
  for (let index = 0; index < 30; index++) exchanges[index]!.answer(reply(`r${index}`))
  expect(requests).toHaveLength(30)
  expect(socket.isPaused).toBe(false)
})

test('nothing is read while too many answered bytes have not been taken', () => {
  const { socket, requests } = world()
  socket.isStuck = true
  const texts = Array.from({ length: 20 }, (_, index) => `${index}`.padStart(30, '.'))
  for (const text of texts) socket.receive(frame(text))
  expect(requests.length).toBeLessThan(6)
  expect(socket.isPaused).toBe(true)
  socket.drain()
  expect(requests).toEqual(texts)
  expect(socket.isPaused).toBe(false)
})

test('while the pool is empty the socket is paused; it goes on when memory comes back', () => {
  const pool = new RequestPool(1024)
  const other = pool.take(1000)!
  const { socket, requests } = world({ pool })
  const body = 'x'.repeat(900)
  socket.receive(frame(body))
  expect(requests).toEqual([])
  expect(socket.isPaused).toBe(true)
  expect(pool.waiting).toBe(1)
  other.release()
  expect(requests).toEqual([body])
  expect(socket.isPaused).toBe(false)
  expect(pool.usedBytes).toBe(0)
})

test('a connection that closes gives back its memory and its place in line', () => {
  const pool = new RequestPool(1024)
  const first = world({ pool })
  first.socket.receive(frame('y'.repeat(900)).subarray(0, 50))
  const second = world({ pool })
  second.socket.receive(frame('z'.repeat(900)))
  expect(pool.waiting).toBe(1)
  second.socket.destroy()
  expect(pool.waiting).toBe(0)
  first.socket.destroy()
  expect(pool.usedBytes).toBe(0)
  expect([first.gone(), second.gone()]).toEqual([1, 1])
})

test.each([
  ['negative', [0xff, 0xff, 0xff, 0xff]],
  ['too large', [0x00, 0x0f, 0x42, 0x41]],
  ['TLS', [0x16, 0x03, 0x01, 0x02]],
])('a size that is %s closes the connection with one line in the log', (_name, size) => {
  const { socket, logger, requests } = world()
  socket.receive(Uint8Array.from([...size, 1, 2, 3]))
  expect(socket.isDestroyed).toBe(true)
  expect(logger.lines).toHaveLength(1)
  expect(requests).toEqual([])
})

test.each(['GET / HTTP/1.1\r\n\r\n', 'POST /x HTTP/1.1\r\n\r\n', 'HEAD / HTTP/1.0\r\n\r\n'])(
  'HTTP is answered in HTTP: %j',
  (request) => {
    const { socket, logger } = world()
    socket.receive(Buffer.from(request))
    expect(socket.text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(socket.text).toContain('This is a Kafka port')
    expect(socket.isEnded).toBe(true)
    expect(logger.lines).toHaveLength(1)
  },
)

test('a second kind of rubbish within 10 s is not logged again, and counted later', () => {
  const clock = new ManualClock()
  const logger = new LineLogger()
  const log = logger.limited(clock)
  for (let count = 0; count < 100; count++) log.warn('kind', 'rubbish')
  expect(logger.lines).toHaveLength(1)
  clock.advance(10_001)
  log.warn('kind', 'rubbish')
  expect(logger.lines).toHaveLength(2)
})

test('a size that does not arrive in 10 s closes the connection', () => {
  const { socket, connection, clock } = world()
  socket.receive(Uint8Array.of(0, 0))
  clock.advance(9_000)
  connection.check(clock.monotonicMs())
  expect(socket.isDestroyed).toBe(false)
  clock.advance(2_000)
  connection.check(clock.monotonicMs())
  expect(socket.isDestroyed).toBe(true)
})

test('a client that does not fill the memory it has got is closed while others wait for it, and only then', () => {
  const pool = new RequestPool(200_000)
  const slow = world({ pool })
  slow.socket.receive(frame('s'.repeat(100_000)).subarray(0, 5000))
  slow.socket.receive(Buffer.alloc(70_000, 's'))
  const drip = (): void => {
    for (let second = 0; second < 20; second++) {
      slow.clock.advance(1000)
      slow.socket.receive(Buffer.from('s'))
      slow.connection.check(slow.clock.monotonicMs())
    }
  }
  drip()
  expect(slow.socket.isDestroyed).toBe(false)
  const waiting = world({ pool })
  const text = '\0\0'.padEnd(140_000, 'w')
  waiting.socket.receive(frame(text))
  expect(waiting.requests).toEqual([])
  for (let minute = 0; minute < 60; minute++) drip()
  expect(slow.socket.isDestroyed).toBe(true)
  expect(waiting.requests).toEqual([text])
})

test('a request that is only announced holds up nobody, small or large, and goes on when its bytes come', () => {
  const pool = new RequestPool(1024 * 1024)
  const text = '\0\x03'.padEnd(900_000, 'a')
  const announcing = [0, 1, 2].map(() => world({ pool }))
  for (const { socket } of announcing) socket.receive(frame(text).subarray(0, 6))
  expect(pool.waiting).toBe(0)
  const large = world({ pool })
  large.socket.receive(frame('\0\0'.padEnd(600_000, 'b')))
  expect(large.requests).toHaveLength(1)

  // One of them fills its first part and gets all memory but that for small requests; the next has to wait.
  announcing[0]!.socket.receive(frame(text).subarray(6, 100_000))
  announcing[1]!.socket.receive(frame(text).subarray(6, 100_000))
  expect(pool.waiting).toBe(1)
  const small = world({ pool })
  small.socket.receive(frame('\0\x03'.padEnd(10_000, 'c')))
  expect(small.requests).toHaveLength(1)
  announcing[0]!.socket.receive(frame(text).subarray(100_000))
  expect(announcing[0]!.requests).toEqual([text])
  announcing[1]!.socket.receive(frame(text).subarray(100_000))
  expect(announcing[1]!.requests).toEqual([text])
  announcing[2]!.socket.destroy()
  expect(pool.usedBytes).toBe(0)
})

test('large requests come out whole however the stream is cut while memory is short', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 60_000, max: 200_000 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 20 }),
      (sizes, cuts) => {
        const { socket, requests, pool } = world({ pool: new RequestPool(200_000) })
        const texts = sizes.map((size, nth) => `\0\x03${'abcdefg'.repeat(size / 7)}${nth}`)
        const stream = Buffer.concat(texts.map(frame))
        for (let at = 0, cut = 0; at < stream.length; cut++) {
          const count = cuts[cut % cuts.length]!
          socket.receive(stream.subarray(at, at + count))
          at += count
        }
        expect(requests.map((text) => text.length)).toEqual(texts.map((text) => text.length))
        expect(requests.every((text, nth) => text === texts[nth])).toBe(true)
        expect(pool.usedBytes).toBe(0)
      },
    ),
    { numRuns: 50 },
  )
})

test('large requests other than Produce count for more memory than they have bytes', () => {
  const produce = world()
  produce.socket.receive(frame('\0\0'.padEnd(10_000, 'p')).subarray(0, 9_000))
  const other = world()
  other.socket.receive(frame('\0\x03'.padEnd(10_000, 'p')).subarray(0, 9_000))
  expect(other.pool.usedBytes).toBe(8 * produce.pool.usedBytes)
  other.socket.destroy()
  expect(other.pool.usedBytes).toBe(0)
})

test('an idle connection is closed after maxIdleMs, one that waits for an answer is not', () => {
  const idle = world()
  const busy = world({ auto: false })
  busy.socket.receive(frame('wait'))
  for (const { clock, connection } of [idle, busy]) {
    clock.advance(600_001)
    connection.check(clock.monotonicMs())
  }
  expect(idle.socket.isDestroyed).toBe(true)
  expect(busy.socket.isDestroyed).toBe(false)
})

test('a goodbye tells the waiting requests, answers them and ends', () => {
  const { socket, exchanges } = world({ auto: false })
  socket.receive(frame('wait'))
  exchanges[0]!.onClose(() => exchanges[0]!.answer(reply('early')))
  socket.handler!.end()
  expect(socket.text).toBe('<early>')
  expect(socket.isEnded).toBe(true)
})

test('an answer after the client has gone is dropped, and the memory is free', () => {
  const { socket, exchanges, pool } = world({ auto: false })
  socket.receive(frame('late'))
  socket.destroy()
  expect(exchanges[0]!.isClosed).toBe(true)
  exchanges[0]!.answer(reply('late'))
  expect(socket.text).toBe('')
  expect(pool.usedBytes).toBe(0)
})

/** A frame of a Produce request, as far as the reader looks, that is large enough to be begun early. */
const large = frame(`\0\0${'p'.repeat(600_000)}`)

test('a large produce request is told of as it arrives, from the memory that it is carried out from', () => {
  const arrived: number[] = []
  const { socket, exchanges, requests, pool } = world({ auto: false, arrived })
  const [used, step] = [pool.usedBytes, 50_000]
  for (let at = 0; at < large.length; at += step) socket.receive(large.subarray(at, at + step))
  expect(arrived.length).toBeGreaterThan(3)
  expect(arrived).toEqual(arrived.toSorted((a, b) => a - b))
  expect(exchanges).toHaveLength(2)
  expect(exchanges[0]).toBe(exchanges[1])
  expect(requests[0]).toHaveLength(600_002)
  exchanges[0]!.answer(reply('done'))
  expect(socket.text).toBe('<done>')
  expect(pool.usedBytes).toBe(used)
})

test('memory of a request that was begun and never became whole is given back once nobody borrows it', () => {
  for (const leave of ['close', 'end'] as const) {
    const { socket, exchanges, pool } = world({ auto: false, arrived: [] })
    socket.receive(large.subarray(0, 300_000))
    exchanges[0]!.borrowRequest()
    if (leave === 'close') socket.destroy()
    else socket.handler!.end()
    expect(exchanges[0]!.isSettled).toBe(true)
    expect(exchanges[0]!.requestBytes).toHaveLength(600_002)
    exchanges[0]!.returnRequest()
    expect(pool.usedBytes).toBe(0)
  }
})

test('an answer does not give borrowed memory away', () => {
  const { socket, exchanges, pool } = world({ auto: false })
  socket.receive(frame('x'.repeat(5000)))
  exchanges[0]!.borrowRequest()
  exchanges[0]!.answer(reply('timed out'))
  expect(pool.usedBytes).toBeGreaterThan(0)
  exchanges[0]!.returnRequest()
  expect(pool.usedBytes).toBe(0)
})
