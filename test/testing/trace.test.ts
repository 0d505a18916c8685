import { describe, expect, test } from 'vitest'
import { diagram } from '../../src/testing/diagram.ts'
import { Trace } from '../../src/testing/trace.ts'
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

describe('a trace', () => {
  test('is the same for the same seed, and another one for another seed', () => {
    expect(traced(5).text).toBe(traced(5).text)
    expect(traced(5).text).not.toBe(traced(6).text)
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
