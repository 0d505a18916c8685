import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from './run.ts'

/** A record to send. */
export interface KeyedRecord {
  readonly key: string
  readonly value: string
}

const dataDirectory = join(repositoryRoot, 'node_modules/vega-datasets/data')

/** 10,000 real records: reports of birds struck by aircraft, keyed by airline operator (column 5), the whole line as value. */
export function birdstrikes(): KeyedRecord[] {
  const lines = readFileSync(join(dataDirectory, 'birdstrikes.csv'), 'utf8').split('\n').slice(1)
  return lines.filter((line) => line !== '').map((value) => ({ key: column(value, 4), value }))
}

/** 200,000 real records: flights, keyed by distance, the JSON text as value. */
export function flights(): KeyedRecord[] {
  const rows = JSON.parse(readFileSync(join(dataDirectory, 'flights-200k.json'), 'utf8')) as {
    distance: number
  }[]
  return rows.map((row) => ({ key: `${row.distance}`, value: JSON.stringify(row) }))
}

/** Records as lines `KEY<TAB>VALUE`, as kcat, the console producer and kgo-cat take them. */
export function keyedLines(records: readonly KeyedRecord[]): string {
  return records.map(({ key, value }) => `${key}\t${value}\n`).join('')
}

/** One column of a CSV line that may hold quoted fields; counts from 0. */
function column(line: string, index: number): string {
  const fields = line.match(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g) ?? []
  return (fields[index] ?? '').replace(/,$/, '')
}
