import { expect, test } from 'vitest'
import { type ConsumedRecord, jsonFormatter, templateFormatter } from '../../src/cli/recordFormat.ts'

const record: ConsumedRecord = {
  topic: 'orders',
  partition: 3,
  offset: 42,
  timestampMs: 1000,
  key: Buffer.from('k'),
  value: Buffer.from('v'),
  headers: [
    { key: 'a', value: Buffer.from('1') },
    { key: 'b', value: null },
  ],
}

function print(formatter: ReturnType<typeof templateFormatter>, of: ConsumedRecord = record): string {
  return Buffer.concat(formatter(of).map((piece) => Buffer.from(piece as string))).toString('latin1')
}

test('a format prints every field', () => {
  expect(print(templateFormatter('%t/%p/%o %T %k=%v [%h] %K %V%%\\n', false))).toBe(
    'orders/3/42 1000 k=v [a=1,b=] 1 1%\n',
  )
})

test('escapes are line feed, tab, carriage return, null and backslash; others stay', () => {
  expect(print(templateFormatter('\\n\\t\\r\\0\\\\\\x', false))).toBe('\n\t\r\0\\\\x')
  expect(print(templateFormatter('end\\', false))).toBe('end\\')
})

test('an unknown field is refused and the known ones are named', () => {
  expect(() => templateFormatter('%k %z', false)).toThrow('"%z"; the fields are %k %v')
  expect(() => templateFormatter('100%', false)).toThrow('"%"')
})

test('null prints nothing, and its length is -1', () => {
  expect(print(templateFormatter('<%k|%v|%K|%V>', false), { ...record, key: null, value: null })).toBe(
    '<||-1|-1>',
  )
})

test('bytes that are not text are printed as they are, or as base64', () => {
  const odd = { ...record, value: new Uint8Array([0xff, 0x00]) }
  expect(print(templateFormatter('%v', false), odd)).toBe('\xff\x00')
  expect(print(templateFormatter('%v', true), odd)).toBe('/wA=')
})

test('a JSON line has all of the record and can be read by produce', () => {
  expect(JSON.parse(print(jsonFormatter(false, () => {})))).toEqual({
    topic: 'orders',
    partition: 3,
    offset: 42,
    timestamp: 1000,
    key: 'k',
    value: 'v',
    headers: [
      { key: 'a', value: '1' },
      { key: 'b', value: null },
    ],
  })
})

test('a record that JSON text cannot tell is reported, unless base64 is asked for', () => {
  const odd = { ...record, value: new Uint8Array([0xff]) }
  const lossy: number[] = []
  print(
    jsonFormatter(false, ({ offset }) => lossy.push(offset)),
    odd,
  )
  expect(lossy).toEqual([42])
  expect(
    JSON.parse(
      print(
        jsonFormatter(true, ({ offset }) => lossy.push(offset)),
        odd,
      ),
    ).value,
  ).toBe('/w==')
  expect(lossy).toEqual([42])
})
