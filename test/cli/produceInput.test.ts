import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/cli/failure.ts'
import { csvCell, type InputFormat, parseRecord, splitLines } from '../../src/cli/produceInput.ts'

const lines: InputFormat = {
  kind: 'lines',
  keySeparator: null,
  csvKeyColumn: null,
  base64: false,
  headers: [],
}
const bytes = (text: string): Uint8Array => Buffer.from(text)
const shown = (value: Uint8Array | null | undefined): string | null =>
  value ? Buffer.from(value).toString() : null

async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk
}

async function linesOf(...chunks: readonly Uint8Array[]): Promise<string[]> {
  const all: string[] = []
  for await (const some of splitLines(chunksOf(...chunks)))
    all.push(...some.map((line) => Buffer.from(line).toString('latin1')))
  return all
}

test('lines are the same however the input is cut into chunks, and bytes stay as they are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 }), async (chunks) => {
      const whole = Buffer.concat(chunks).toString('latin1')
      const expected = whole.split('\n')
      if (expected.at(-1) === '') expected.pop()
      expect(await linesOf(...chunks)).toEqual(expected)
    }),
  )
})

test('a last line without a line feed counts, and an empty line is an empty record', async () => {
  expect(await linesOf(bytes('a\n\nb'))).toEqual(['a', '', 'b'])
  expect(await linesOf()).toEqual([])
})

test('a line is the value; with a separator its first occurrence ends the key', () => {
  expect(parseRecord(bytes('a:b'), lines)).toMatchObject({ key: null, partition: null, timestampMs: null })
  const keyed = { ...lines, keySeparator: bytes('::') }
  const record = parseRecord(bytes('k::v::w'), keyed)
  expect([shown(record.key), shown(record.value)]).toEqual(['k', 'v::w'])
  expect(parseRecord(bytes('no separator'), keyed).key).toBe(null)
})

test('a CSV column is the key and the line stays whole', () => {
  const record = parseRecord(bytes('a,"b,""c""",d\r'), { ...lines, csvKeyColumn: 2 })
  expect(shown(record.key)).toBe('b,"c"')
  expect(shown(record.value)).toBe('a,"b,""c""",d\r')
  expect(shown(csvCell(bytes('x,y,z\r'), 3))).toBe('z')
  expect(shown(csvCell(bytes('é,ü'), 2))).toBe('ü')
  expect(csvCell(bytes(',,'), 3)).toHaveLength(0)
  expect(() => parseRecord(bytes('a,b'), { ...lines, csvKeyColumn: 3 })).toThrow('no column 3')
})

test('a JSON line has key, value, headers, partition and timestamp', () => {
  const json: InputFormat = { ...lines, kind: 'json' }
  const record = parseRecord(
    bytes('{"key":"k","value":{"n":1},"headers":{"a":"1","b":null},"partition":2,"timestamp":"2026-01-31"}'),
    json,
  )
  expect(shown(record.key)).toBe('k')
  expect(shown(record.value)).toBe('{"n":1}')
  expect(record.headers.map(({ key, value }) => [key, shown(value)])).toEqual([
    ['a', '1'],
    ['b', null],
  ])
  expect(record.partition).toBe(2)
  expect(record.timestampMs).toBe(Date.UTC(2026, 0, 31))
  expect(parseRecord(bytes('{}'), json)).toEqual({
    key: null,
    value: null,
    headers: [],
    timestampMs: null,
    partition: null,
  })
})

test('base64 carries any bytes, in lines and in JSON', () => {
  const value = new Uint8Array([0, 10, 255])
  const base64 = Buffer.from(value).toString('base64')
  expect([...parseRecord(bytes(base64), { ...lines, base64: true }).value!]).toEqual([0, 10, 255])
  const json = parseRecord(bytes(JSON.stringify({ value: base64 })), { ...lines, kind: 'json', base64: true })
  expect([...json.value!]).toEqual([0, 10, 255])
  expect(() => parseRecord(bytes('not base64!'), { ...lines, base64: true })).toThrow('not base64')
})

test('a bad JSON line is a usage error that says what is wrong, never another exception', () => {
  const json: InputFormat = { ...lines, kind: 'json' }
  for (const [line, message] of [
    ['{', 'not JSON'],
    ['[1]', 'an object'],
    ['{"partition":-1}', 'partition'],
    ['{"timestamp":"soon"}', 'timestamp'],
    ['{"headers":[1]}', 'header'],
    ['{"headers":[null]}', 'header'],
    ['{"headers":3}', 'headers'],
  ] as const) {
    expect(() => parseRecord(bytes(line), json), line).toThrow(message)
  }
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json().map(bytes)), (line) => {
      try {
        parseRecord(line, json)
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError)
      }
    }),
  )
})
