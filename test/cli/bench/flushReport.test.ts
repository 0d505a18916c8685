import { describe, expect, test } from 'vitest'
import { htmlReport } from '../../../src/cli/bench/flushHtml.ts'
import { estimate, fullPreset, quickPreset } from '../../../src/cli/bench/flushOptions.ts'
import {
  type Cell,
  cellOf,
  type FlushResult,
  type Measured,
  median,
} from '../../../src/cli/bench/flushResult.ts'
import { crossovers, findings, latencyText, sizeText } from '../../../src/cli/bench/flushSummary.ts'
import { markdownReport } from '../../../src/cli/bench/flushTable.ts'
import { linePlot, ticksFor } from '../../../src/cli/bench/plot.ts'

function cell(policy: Measured, logs: number, sizeBytes: number, megabytesPerSecond: number): Cell {
  return {
    policy,
    logs,
    sizeBytes,
    writers: 32,
    rounds: 3,
    appendsPerSecond: Math.round((megabytesPerSecond * 1e6) / sizeBytes),
    megabytesPerSecond,
    range: [megabytesPerSecond * 0.9, megabytesPerSecond * 1.1],
    p50Us: 900,
    p99Us: 4200,
    maxUs: 9000,
    writtenPerByte: 2.1,
    cpuUsPerAppend: 14,
    recycles: policy === 'journal' ? 12 : null,
  }
}

function resultOf(more: Partial<FlushResult> = {}): FlushResult {
  const cells = [
    ...(['none', 'journal', 'batch', 'floor'] as const).map((policy) =>
      cell(policy, 1, 4096, { none: 400, journal: 250, batch: 200, floor: 300 }[policy]),
    ),
    ...(['none', 'journal', 'batch', 'floor'] as const).map((policy) =>
      cell(policy, 10_000, 4096, { none: 390, journal: 225, batch: 9, floor: 280 }[policy]),
    ),
  ]
  const crossover = [
    cell('journal', 1, 16_384, 260),
    cell('batch', 1, 16_384, 250),
    cell('journal', 1, 262_144, 270),
    cell('batch', 1, 262_144, 540),
  ]
  return {
    format: 1,
    cordwood: '0.1.0',
    when: '2026-11-21',
    form: 'quick',
    implementation: 'native',
    machine: {
      cpu: 'A <fast> CPU',
      cores: 2,
      memoryBytes: 2 ** 34,
      system: 'Linux 6',
      node: 'v20',
      fileSystem: 'ext4',
      freeBytes: 1,
    },
    options: { ...quickPreset, directory: '.', policies: ['none', 'journal', 'batch'], logs: [1, 10_000] },
    seconds: 50,
    cells,
    crossover,
    load: [
      {
        policy: 'journal',
        share: 0.5,
        offeredMegabytesPerSecond: 100,
        megabytesPerSecond: 99,
        p50Us: 500,
        p99Us: 1500,
      },
    ],
    ...more,
  }
}

describe('what the figures say', () => {
  test('the journal beside no sync, bare system calls and a sync of each file', () => {
    expect(findings(resultOf())).toContain(
      'With 10,000 logs, the journal acknowledges 225 MB/s durably: 0.58 times as much as no sync at all, 0.80 times as much as bare system calls and 25 times as much as a sync of each file.',
    )
  })

  test('where the journal stops paying: few logs, large appends', () => {
    expect(crossovers(resultOf())[0]).toMatchObject({
      logs: 1,
      batchAhead: [{ sizeBytes: 262_144, ratio: 0.5 }],
    })
    expect(findings(resultOf())).toContain(
      "The journal stops paying at 1 log and appends of 256 KiB or more: it writes every byte twice, and batch acknowledges 2.0 times as much at 256 KiB. Use flush: 'batch' there.",
    )
  })

  test('that batch is not ahead, where it is not', () => {
    const crossover = [cell('journal', 1, 262_144, 300), cell('batch', 1, 262_144, 290)]
    expect(findings(resultOf({ crossover }))).toContain(
      'At 1 log, batch was not ahead of the journal by more than 5 % at any size up to 256 KiB.',
    )
  })

  test('at which sizes batch is ahead, also when it is not at the largest, in the text and in the page', () => {
    const pairs = [
      [1024, 150, 100],
      [16_384, 75, 100],
      [65_536, 80, 100],
      [262_144, 100, 100],
    ] as const
    const crossover = pairs.flatMap(([size, journal, batch]) => [
      cell('journal', 1, size, journal),
      cell('batch', 1, size, batch),
    ])
    const result = resultOf({ crossover })
    const said =
      'The journal does not pay at 1 log and appends of 16 KiB and 64 KiB: it writes every byte twice, and batch acknowledges 1.3 times as much at 16 KiB and 1.3 times as much at 64 KiB. At the other sizes up to 256 KiB batch was not ahead by more than 5 %.'
    expect(findings(result)).toContain(said)
    expect(findings(result).join()).not.toContain('at any size')
    expect(htmlReport(result)).toContain(`<li>${said}</li>`)
    expect(markdownReport(result)).toContain(`- ${said}`)
  })

  test('that a run was too short to be trusted', () => {
    const cells = [{ ...cell('journal', 1, 4096, 100), recycles: 3 }]
    expect(findings(resultOf({ cells }))).toContainEqual(expect.stringContaining('fewer than ten times'))
  })

  test('what was left out because the time was over', () => {
    const cells = resultOf().cells.filter(({ logs, policy }) => logs === 1 && policy !== 'batch')
    expect(findings(resultOf({ cells, load: [] })).at(-1)).toBe(
      'Left out, since the time was over: batch with 1 log; 10,000 logs; latency against load. Without --quick they are measured.',
    )
    expect(findings(resultOf({ cells: [], crossover: [] }))).toEqual(['Nothing was measured.'])
    expect(htmlReport(resultOf({ cells, load: [] }))).not.toMatch(/NaN|Infinity|undefined/)
  })
})

describe('the report', () => {
  test('is one file that loads nothing, has every plot, and takes no text for HTML', () => {
    const html = htmlReport(resultOf())
    expect(html.match(/<svg /g)).toHaveLength(4)
    expect(html).not.toMatch(/(?:src|href)=|@import|url\(|<script|https?:/)
    expect(html).toContain('A &lt;fast&gt; CPU')
    expect(html).not.toMatch(/NaN|Infinity|undefined/)
    expect(html).toContain('prefers-color-scheme: dark')
  })

  test('leaves out plots without figures', () => {
    const html = htmlReport(resultOf({ load: [], crossover: [], cells: [cell('journal', 1, 4096, 100)] }))
    expect(html).not.toMatch(/NaN|Infinity|undefined/)
    expect(html.match(/<svg /g)!.length).toBeLessThan(4)
  })

  test('as Markdown has a row for every figure', () => {
    const rows = markdownReport(resultOf())
      .split('\n')
      .filter((line) => line.startsWith('| '))
    // Heads and rules of two tables of policies, of the crossover and of the load.
    expect(rows.length).toBe(8 + 4 + 1 + 4 * 2)
  })
})

test('a cell is the median of its rounds, with the slowest and the fastest', () => {
  const sample = {
    seconds: 1,
    p50Us: 1,
    p99Us: 5,
    maxUs: 9,
    cpuSeconds: 0.1,
    writtenBytes: 2_000_000,
    recycles: 4,
  }
  const place = { policy: 'journal', logs: 1, sizeBytes: 1000, writers: 1 } as const
  const samples = [1000, 3000, 2000].map((appends) => ({ ...sample, appends }))
  expect(cellOf(place, samples)).toMatchObject({
    megabytesPerSecond: 2,
    range: [1, 3],
    recycles: 12,
    writtenPerByte: 1,
  })
  expect([median([3, 1, 2]), median([4, 1]), median([])]).toEqual([2, 1, 0])
})

test('axes have round numbers that hold all values', () => {
  expect(ticksFor({ scale: 'linear' }, [0, 87])).toEqual([0, 25, 50, 75, 100])
  expect(ticksFor({ scale: 'log' }, [9, 380])).toEqual(
    [3, 10, 30, 100, 300, 1000].filter((tick) => tick >= 3),
  )
  expect(ticksFor({ scale: 'log' }, [0.5, 1.9])).toEqual([0.5, 1, 2])
  for (const values of [[1], [0.001, 5000], [7, 7]]) {
    const ticks = ticksFor({ scale: 'log' }, values)
    expect(ticks[0]).toBeLessThanOrEqual(Math.min(...values))
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(Math.max(...values))
  }
})

test('a plot without points is drawn all the same', () => {
  const axis = { label: 'x', scale: 'linear', text: String } as const
  expect(linePlot({ summary: 'none', x: axis, y: axis, series: [] })).not.toMatch(/NaN|Infinity/)
})

test('sizes and times are told for people', () => {
  expect([1024, 65_536, 1 << 20, 1_000_000, 100].map(sizeText)).toEqual([
    '1 KiB',
    '64 KiB',
    '1 MiB',
    '1 MB',
    '100 bytes',
  ])
  expect([0, 450, 8200, 12_000, 1_400_000].map(latencyText)).toEqual([
    '-',
    '450 µs',
    '8.2 ms',
    '12 ms',
    '1.4 s',
  ])
})

test('the quick form plans for 40 seconds and leaves out what would not end in 50, the full one uses the journal again ten times', () => {
  expect(estimate({ ...quickPreset, directory: '.' }).seconds).toBeLessThan(42)
  expect(quickPreset.limitSeconds).toBeLessThanOrEqual(50)
  expect(fullPreset.minRecycles).toBeGreaterThanOrEqual(10)
})
