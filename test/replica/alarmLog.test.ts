import { expect, test } from 'vitest'
import type { LogFields, Logger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import { AlarmLog } from '../../src/replica/alarmLog.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'

class Fixture implements Logger {
  readonly errors: (LogFields | undefined)[] = []
  debugs = 0
  fire: (() => void) | null = null
  readonly log = new AlarmLog(
    {
      wallMs: () => 0,
      monotonicMs: () => 0,
      setTimer: (_, fire) => {
        expect(this.fire).toBeNull()
        this.fire = () => {
          this.fire = null
          fire()
        }
        return { cancel: () => void (this.fire = null) }
      },
    },
    this,
  )
  debug(): void {
    this.debugs += 1
  }
  info(): void {}
  warn(): void {}
  error(_: string, fields?: LogFields): void {
    this.errors.push(fields)
  }

  raise(partition: number, code: 'rolledBack' | 'possibleLoss' = 'rolledBack'): void {
    const topicId = randomUuid(createNodeRuntime().random)
    this.log.raise({ topic: 't', topicId, partition }, { code, id: 2, offset: partition, detail: 'why' })
  }
}

test('what befalls many replicas at once is one line, with their number and some names', () => {
  const fixture = new Fixture()
  for (let partition = 0; partition < 80; partition++) fixture.raise(partition)
  expect(fixture.errors).toEqual([])
  fixture.fire!()
  const replicas = 't-0, t-1, t-2, t-3, t-4'
  expect(fixture.errors).toEqual([
    { code: 'rolledBack', count: 80, replicas, id: 2, offset: 0, detail: 'why' },
  ])
  expect(fixture.debugs).toBe(80)
})

test('alarms about different things are lines of their own, and later ones too', () => {
  const fixture = new Fixture()
  fixture.raise(0)
  fixture.raise(1, 'possibleLoss')
  fixture.fire!()
  fixture.raise(2)
  fixture.fire!()
  expect(fixture.errors.map((fields) => [fields?.code, fields?.replicas])).toEqual([
    ['rolledBack', 't-0'],
    ['possibleLoss', 't-1'],
    ['rolledBack', 't-2'],
  ])
})

test('who closes writes what there is, and leaves no timer', () => {
  const fixture = new Fixture()
  fixture.raise(0)
  fixture.log.flush()
  expect([fixture.errors.length, fixture.fire]).toEqual([1, null])
})
