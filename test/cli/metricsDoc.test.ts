import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { run, start } from './commandLine.ts'

const documentation = new URL('../../docs/metrics.md', import.meta.url)
const dashboard = new URL('../../docs/grafana/cordwood.json', import.meta.url)

interface Metric {
  readonly name: string
  readonly type: string
  readonly help: string
}

/** Everything that a broker tells of itself. */
async function metricsOfABroker(): Promise<readonly Metric[]> {
  const flags = ['--listen', '127.0.0.1:0', '--metrics', '127.0.0.1:0', '--log-level', 'error']
  const broker = start(['serve', '--directory', temporaryDirectory(), ...flags])
  await broker.printed('metrics on ')
  const [, address, url] = / on (\S+) after .*metrics on (\S+)/.exec(broker.stdout())!
  await run(['produce', 't', '--quiet', '--bootstrap', address!], 'a\n')
  const text = await (await fetch(url!)).text()
  broker.interrupt()
  await broker.done
  return [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)$/gm)].map(([, name, help, type]) => ({
    name: name!,
    help: help!,
    type: type!,
  }))
}

/** The names in a query of Prometheus. */
function namesIn(query: string): readonly string[] {
  return query.match(/\b(?:kafka|cordwood|process|nodejs)_\w+/g) ?? []
}

test('the list of metrics is what a broker tells, and the dashboard asks for nothing else; UPDATE=1 writes the list', async () => {
  const metrics = await metricsOfABroker()
  const own = metrics.filter(({ name }) => !/^(?:process|nodejs)_/.test(name))
  const rows = own.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help.replaceAll('|', '\\|')} |`)
  const table = ['| name | type | meaning |', '| --- | --- | --- |', ...rows].join('\n')
  const text = readFileSync(documentation, 'utf8')
  const begin = text.indexOf('-->\n', text.indexOf('<!-- metrics: begin')) + 4
  const wanted = `${text.slice(0, begin)}${table}\n${text.slice(text.indexOf('<!-- metrics: end'))}`
  if (process.env.UPDATE === '1') writeFileSync(documentation, wanted)
  else expect(text).toBe(wanted)

  const known = new Set(
    metrics.flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  )
  const { panels, templating } = JSON.parse(readFileSync(dashboard, 'utf8')) as {
    panels: { title: string; targets?: { expr: string }[] }[]
    templating: { list: { query?: unknown }[] }
  }
  const queries = [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...templating.list.map(({ query }) => JSON.stringify(query ?? '')),
  ]
  expect(queries.length).toBeGreaterThan(30)
  expect(queries.flatMap(namesIn).filter((name) => !known.has(name))).toEqual([])
})

test('the dashboard’s panels have numbers of their own and lie beside each other', () => {
  const { panels } = JSON.parse(readFileSync(dashboard, 'utf8')) as {
    panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[]
  }
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  for (const { gridPos: one } of panels) {
    expect(one.x + one.w).toBeLessThanOrEqual(24)
    const overlapping = panels.filter(
      ({ gridPos: other }) =>
        one.x < other.x + other.w &&
        other.x < one.x + one.w &&
        one.y < other.y + other.h &&
        other.y < one.y + one.h,
    )
    expect(overlapping).toHaveLength(1)
  }
})
