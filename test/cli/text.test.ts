import { expect, test } from 'vitest'
import { exitCodeOf, failureLine, UsageError, upperSnake } from '../../src/cli/failure.ts'
import { parseProperties } from '../../src/cli/properties.ts'
import { stderrLogger } from '../../src/cli/stderrLogger.ts'
import { table } from '../../src/cli/table.ts'
import { EngineError } from '../../src/model/errors.ts'

test('a properties file is read as Java reads it', () => {
  const text =
    '# comment\n! another\n\nnode.id=1\nlisteners = PLAINTEXT://:9092\nlog.dirs:/a\\\n  ,/b\nname value\nempty=\npath=C:\\\\x\\u0041\r\nlast=1\nlast=2'
  expect(parseProperties(text, 'f')).toEqual([
    { name: 'node.id', value: '1', line: 4 },
    { name: 'listeners', value: 'PLAINTEXT://:9092', line: 5 },
    { name: 'log.dirs', value: '/a,/b', line: 6 },
    { name: 'name', value: 'value', line: 8 },
    { name: 'empty', value: '', line: 9 },
    { name: 'path', value: 'C:\\xA', line: 10 },
    { name: 'last', value: '1', line: 11 },
    { name: 'last', value: '2', line: 12 },
  ])
})

test('a line of a properties file without a value is refused with its number', () => {
  expect(() => parseProperties('a=1\nnonsense', 'server.properties')).toThrow('server.properties:2: expected')
})

test('an error is one line that begins with the name Kafka gives it', () => {
  expect(upperSnake('topicAlreadyExists')).toBe('TOPIC_ALREADY_EXISTS')
  expect(failureLine(new EngineError('topicAlreadyExists', 'topic a\n  is there'))).toBe(
    'TOPIC_ALREADY_EXISTS: topic a is there',
  )
  expect(failureLine(new EngineError('addressInUse', 'port 9092 is taken'))).toBe('port 9092 is taken')
  expect(failureLine('a text')).toBe('a text')
})

test('a wrong command line has exit code 2, everything else 1', () => {
  expect(exitCodeOf(new UsageError('x'))).toBe(2)
  expect(exitCodeOf(new EngineError('diskFull', 'x'))).toBe(1)
})

test('a table has columns, with numbers to the right', () => {
  expect(
    table(
      ['NAME', 'N'],
      [
        ['a', 5],
        ['long name', 100],
      ],
    ),
  ).toBe('NAME         N\na            5\nlong name  100\n')
})

test('a logger leaves out what is below its level and writes one line for each message', () => {
  const lines: string[] = []
  const logger = stderrLogger('info', 'text', (line) => lines.push(line))
  logger.debug('hidden')
  logger.info('two\nlines', { bytes: 3, path: '/a b', error: new Error('no\nroom'), none: undefined })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(
    /^\d{4}-\d\d-\d\dT[\d:.]+Z info {2}two lines bytes=3 path="\/a b" error="no\\nroom"$/,
  )
})

test('a JSON log line holds level, message and fields, errors with their code', () => {
  const lines: string[] = []
  const logger = stderrLogger('debug', 'json', (line) => lines.push(line))
  logger.error('failed', { error: new EngineError('diskFull', 'no room'), big: 1n })
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'error',
    message: 'failed',
    big: '1',
    error: { code: 'diskFull', message: 'no room' },
  })
})
