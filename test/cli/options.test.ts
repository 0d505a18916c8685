import { expect, test } from 'vitest'
import {
  collectPair,
  formatAddress,
  parseAddress,
  parseAddresses,
  parseBytes,
  parseDuration,
  parseTimestamp,
  wholeNumber,
} from '../../src/cli/options.ts'

test('an address is a host and a port, and 9092 when it names none', () => {
  expect(parseAddress('localhost:19092')).toEqual({ host: 'localhost', port: 19092 })
  expect(parseAddress('broker.example.org')).toEqual({ host: 'broker.example.org', port: 9092 })
  expect(parseAddress('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 })
  expect(parseAddress('[::1]:9093')).toEqual({ host: '::1', port: 9093 })
  expect(parseAddress('::1')).toEqual({ host: '::1', port: 9092 })
  expect(parseAddresses('a:1, b:2')).toEqual([
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ])
})

test('what is not an address is refused with an example of one', () => {
  for (const wrong of ['', ':9092', 'a:b', 'a:70000', 'a:1:2x', 'a b:1', 'http://a:1']) {
    expect(() => parseAddress(wrong), wrong).toThrow(/HOST:PORT|65535/)
  }
})

test('an address printed and read again is the same', () => {
  for (const address of [
    { host: '::1', port: 1 },
    { host: 'a.b', port: 65_535 },
  ]) {
    expect(parseAddress(formatAddress(address))).toEqual(address)
  }
})

test('numbers are whole and within their bounds', () => {
  expect(wholeNumber(0, 10)('10')).toBe(10)
  for (const wrong of ['11', '-1', '1.5', '', 'x', '1e3', '0x10', '9007199254740993']) {
    expect(() => wholeNumber(0, 10)(wrong), wrong).toThrow('from 0 to 10')
  }
})

test('bytes may have binary units', () => {
  expect(parseBytes('65536')).toBe(65536)
  expect(parseBytes('64KiB')).toBe(65536)
  expect(parseBytes('1 mib')).toBe(1024 * 1024)
  expect(() => parseBytes('64kb')).toThrow('64KiB')
})

test('a duration without a unit is in seconds', () => {
  expect(parseDuration('5')).toBe(5000)
  expect(parseDuration('500ms')).toBe(500)
  expect(parseDuration('1.5m')).toBe(90_000)
  expect(() => parseDuration('soon')).toThrow('30s')
})

test('a time is milliseconds or ISO 8601, in UTC where it names no zone', () => {
  expect(parseTimestamp('1769860800000')).toBe(1769860800000)
  expect(parseTimestamp('2026-01-31T12:00:00Z')).toBe(Date.UTC(2026, 0, 31, 12))
  expect(parseTimestamp('2026-01-31T12:00')).toBe(Date.UTC(2026, 0, 31, 12))
  expect(parseTimestamp('2026-01-31')).toBe(Date.UTC(2026, 0, 31))
  expect(parseTimestamp('2026-01-31T12:00:00+02:00')).toBe(Date.UTC(2026, 0, 31, 10))
  expect(parseTimestamp('yesterday')).toBe(null)
  expect(parseTimestamp('2026-99-99')).toBe(null)
})

test('pairs keep what comes after the first equals sign', () => {
  expect(collectPair('a=b=c', collectPair('x='))).toEqual([
    ['x', ''],
    ['a', 'b=c'],
  ])
  expect(() => collectPair('nothing')).toThrow('KEY=VALUE')
  expect(() => collectPair('=v')).toThrow('KEY=VALUE')
})
