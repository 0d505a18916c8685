import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  brokerConfigSynonyms,
  brokerConfigTable,
  type ConfigDefinition,
} from '../../src/broker/configTable.ts'
import { topicConfigTable } from '../../src/controller/topicConfigTable.ts'

const file = new URL('../../docs/configuration.md', import.meta.url)

/** `cells` as a line of a table. */
function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function range({ type, min, max, oneOf }: ConfigDefinition): string {
  if (oneOf !== undefined) return oneOf.join(', ')
  if (type === 'boolean') return 'true, false'
  if (min !== undefined && max !== undefined && max < 2 ** 31 - 1) return `${min} to ${max}`
  return min === undefined ? '' : `from ${min}`
}

function brokerTable(): string {
  const rows = Object.entries(brokerConfigTable).map(([name, definition]) => {
    const others = [...brokerConfigSynonyms].filter(([, to]) => to === name).map(([from]) => `\`${from}\``)
    const names = [`\`${name}\``, ...others].join(', or ')
    const { default: value, documentation }: ConfigDefinition = definition
    return row(names, value === null ? '' : `\`${value}\``, range(definition), documentation)
  })
  return [row('setting', 'default', 'values', 'meaning'), row('---', '---', '---', '---'), ...rows].join('\n')
}

function topicTable(): string {
  const rows = [...topicConfigTable].flatMap(
    ([name, { synonyms, default: value, honoured, documentation }]) => {
      if (synonyms.length === 0) return []
      const names = synonyms.map((synonym) => `\`${synonym.name}\``).join(', ')
      const shown = value === '' ? '' : `\`${value}\``
      return [row(names, `\`${name}\``, honoured ? shown : `only ${shown}`, documentation)]
    },
  )
  return [row('setting', 'of topics', 'default', 'meaning'), row('---', '---', '---', '---'), ...rows].join(
    '\n',
  )
}

/** `text` with `table` between the markers called `name`. */
function filled(text: string, name: string, table: string): string {
  const begin = text.indexOf('-->\n', text.indexOf(`<!-- ${name}: begin`)) + 4
  const end = text.indexOf(`<!-- ${name}: end -->`)
  expect(begin).toBeGreaterThan(4)
  expect(end).toBeGreaterThanOrEqual(begin)
  return `${text.slice(0, begin)}${table}\n${text.slice(end)}`
}

test('the reference of settings is what the tables say; UPDATE=1 writes it', () => {
  const text = readFileSync(file, 'utf8')
  const wanted = filled(filled(text, 'broker settings', brokerTable()), 'topic settings', topicTable())
  if (process.env.UPDATE === '1') writeFileSync(file, wanted)
  else expect(text).toBe(wanted)
})
