import { describe, expect, test } from 'vitest'
import { diagram } from '../../src/testing/diagram.ts'
import { Trace } from '../../src/testing/trace.ts'
import { TraceHash } from '../../src/testing/traceHash.ts'
import { simulate } from '../raft/support/simulate.ts'

function traced(seed: number, keep = 200): Trace {
  const traces: Trace[] = []
  simulate(seed, 300, (world) => {
    const trace = new Trace({ keep, now: () => world.nowMs })
    world.observer = {
      started: (node) => trace.note(node.id, 'start', 'starts'),
      stepped: (node, event, effects) => trace.stepped(node.id, event, effects),
      left: (node, to, message, asked) => trace.left(node.id, to, message, asked),
      stopped: (node, how) => trace.note(node.id, 'stop', how),
      lost: (node) => trace.note(node.id, 'fault', 'loses its disk'),
      wentBack: (node) => trace.note(node.id, 'fault', 'gets an earlier disk'),
    }
    traces.push(trace)
  })
  return traces[0]!
}

describe('a trace hash', () => {
  test('depends on every number and on their order, fractions and large ones included', () => {
    const hashOf = (...values: readonly number[]): string => {
      const hash = new TraceHash()
      for (const value of values) hash.add(value)
      return hash.hex
    }
    const hashes = [[], [0], [0, 0], [1, 2], [2, 1], [1.5], [1.25], [2 ** 40], [2 ** 41], [-1]].map(
      (values) => hashOf(...values),
    )
    expect(new Set(hashes).size).toBe(hashes.length)
    // The same on every machine and release, since recorded seeds are compared with it.
    expect(hashOf(1, 2.5, 2 ** 40)).toBe('432e88a69938da66')
  })

  test('takes texts in', () => {
    const hashOf = (text: string): string => {
      const hash = new TraceHash()
      hash.addText(text)
      return hash.hex
    }
    expect(hashOf('ab')).not.toBe(hashOf('ba'))
    expect(hashOf('')).toMatch(/^[0-9a-f]{16}$/)
  })
})

describe('a trace', () => {
  test('is the same for the same seed, and another one for another seed', () => {
    expect(traced(5).hash.hex).toBe(traced(5).hash.hex)
    expect(traced(5).hash.hex).not.toBe(traced(6).hash.hex)
    expect(traced(5).text).toBe(traced(5).text)
  })

  test('keeps the last events of each node, in order', () => {
    const { events } = traced(35, 20)
    for (const node of new Set(events.map((event) => event.node))) {
      expect(events.filter((event) => event.node === node).length).toBeLessThan(40)
    }
    expect(events.map(({ order }) => order)).toEqual(events.map(({ order }) => order).sort((a, b) => a - b))
  })

  test('says when messages arrive', () => {
    const sent = traced(5).events.filter(({ kind }) => kind === 'send')
    const arrived = sent.filter(({ arrivedMs }) => arrivedMs >= 0)
    expect(arrived.length).toBeGreaterThan(sent.length / 3)
    for (const { atMs, arrivedMs } of arrived) expect(arrivedMs).toBeGreaterThanOrEqual(atMs)
  })

  test('keeps nothing but the hash when told so', () => {
    const { events, hash } = traced(5, 0)
    expect(events).toEqual([])
    expect(hash.count).toBeGreaterThan(100)
  })
})

describe('a space-time diagram', () => {
  test('has a line for every node, arrows, and both colour schemes', () => {
    const { events } = traced(35)
    const svg = diagram(events, { title: 'seed <35>' })
    expect(svg).toContain('<title>seed &lt;35&gt;</title>')
    expect(svg).toContain('prefers-color-scheme: dark')
    for (const node of [1, 2, 3]) expect(svg).toContain(`>node ${node}</text>`)
    expect(svg).toContain('class="life leader"')
    expect(svg).toContain('<polygon class="tip fetch"')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    // Well-formed: every element is closed.
    expect(svg.match(/<g>/g)?.length).toBe(svg.match(/<\/g>/g)?.length)
  })

  test('of nothing is empty and sound', () => {
    expect(diagram([], { title: 'nothing' })).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  })
})
