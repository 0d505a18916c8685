import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { startBroker } from '../../examples/custom-broker/broker.js'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { bundled, run } from './runExample.ts'

interface Message {
  readonly id: number
  readonly data: string
}

/** Subscribes and reads messages as an EventSource does. */
async function subscribe(url: string, lastEventId: number | null): Promise<AsyncIterator<Message>> {
  const headers: Record<string, string> = lastEventId === null ? {} : { 'last-event-id': `${lastEventId}` }
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const response = await fetch(url, { headers, signal: stop.signal })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  return messages(response.body!)
}

async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const of = (name: string) =>
        lines.flatMap((line) => (line.startsWith(name) ? line.slice(name.length) : []))
      yield { id: Number(of('id: ')[0]), data: of('data: ').join('\n') }
    }
  }
}

async function publish(url: string, body: string): Promise<number> {
  const response = await fetch(url, { method: 'POST', body })
  expect(response.status).toBe(201)
  return ((await response.json()) as { offset: number }).offset
}

/** As it comes from clients that tidy no path up. */
async function rawStatus(url: string, path: string): Promise<number | undefined> {
  const [response] = (await once(get(url, { path }), 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

async function take(iterator: AsyncIterator<Message>, count: number): Promise<Message[]> {
  const taken: Message[] = []
  while (taken.length < count) taken.push((await iterator.next()).value)
  return taken
}

test('has fewer than 120 lines', () => {
  const source = readFileSync(new URL('../../examples/custom-broker/broker.js', import.meta.url), 'utf8')
  expect(source.split('\n').length).toBeLessThan(120)
})

test('everybody gets every message once, and goes on where they were', async () => {
  const broker = await startBroker({ directory: temporaryDirectory() })
  onTestFinished(() => broker.close())
  const url = `${broker.url}/topics/news`
  for (const [offset, text] of ['a', 'two\nlines', ''].entries())
    expect(await publish(url, text)).toBe(offset)
  const all = await subscribe(url, -1)
  const missed = await subscribe(url, 0)
  const live = await subscribe(url, null)
  await publish(url, 'd')
  const expected = [
    { id: 0, data: 'a' },
    { id: 1, data: 'two\nlines' },
    { id: 2, data: '' },
    { id: 3, data: 'd' },
  ]
  expect(await take(all, 4)).toEqual(expected)
  expect(await take(missed, 3)).toEqual(expected.slice(1))
  expect(await take(live, 1)).toEqual(expected.slice(3))
})

test('says what is wrong with a request', async () => {
  const broker = await startBroker({ directory: temporaryDirectory() })
  onTestFinished(() => broker.close())
  await publish(`${broker.url}/topics/news`, 'a')
  const status = async (path: string, init?: RequestInit) =>
    (await fetch(`${broker.url}${path}`, init)).status
  expect(await status('/')).toBe(404)
  expect(await status('/topics/unheard-of')).toBe(404)
  expect(await status('/topics/news?after=soon')).toBe(400)
  expect(await status('/topics/a%20b', { method: 'POST', body: 'x' })).toBe(400)
  expect(await status('/topics/news', { method: 'PUT', body: 'x' })).toBe(405)
  for (const size of [1_100_000, 1 << 20, (1 << 20) - 1])
    expect([size, await status('/topics/news', { method: 'POST', body: 'x'.repeat(size) })]).toEqual([
      size,
      413,
    ])
  for (const after of ['', '%20', '-2', '1e1', '99999999999999999999'])
    expect([after, await status(`/topics/news?after=${after}`)]).toEqual([after, 400])
  for (const path of ['//', '//topics/news', '/?', '/topics//news', '/topics/%', '*'])
    expect([path, await rawStatus(broker.url, path)]).toEqual([path, 404])
})

test('loses nothing that it answered when it is killed, and ends in order when it is asked to', async () => {
  const program = await bundled('custom-broker/broker.js')
  const directory = temporaryDirectory()
  const start = async () => {
    const example = run(program, ['0', directory])
    const [, url] = /listening on (\S+)/.exec(await example.printed('\n'))!
    return { ...example, url: `${url}/topics/news` }
  }
  const first = await start()
  const offsets = await Promise.all(Array.from({ length: 50 }, (_, index) => publish(first.url, `${index}`)))
  expect(offsets.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index))
  first.child.kill('SIGKILL')
  await first.ended
  const second = await start()
  const subscription = await subscribe(second.url, -1)
  const found = await take(subscription, 50)
  expect(found.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, index) => index))
  for (const [index, offset] of offsets.entries()) expect(found[offset]!.data).toBe(`${index}`)
  second.child.kill('SIGTERM')
  expect(await second.ended).toMatchObject({ code: 0 })
  expect((await subscription.next()).done).toBe(true)
})
