import { expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import { reopenInput } from '../../src/segment/reopen.ts'
import type { ResumedLog } from '../../src/segment/resumePoint.ts'
import { OtherSegmentError } from '../../src/segment/sameSegment.ts'

const corruption = { file: 'a-0/0.log', position: 0, expected: 'a batch', found: 'another' }
const resume = { closed: { leaderEpochs: [] } } as unknown as ResumedLog
const from = { recoveryPoint: 100, provenEnd: 120, resume, cleanShutdown: true }

test('a note that did not fit the file that was mended does not keep the log from being opened', () => {
  const input = reopenInput(from, null, new OtherSegmentError(corruption))
  expect(input).toMatchObject({ resume: null, cleanShutdown: false, recoveryPoint: 100, provenEnd: 120 })
})

test('after other damage recovery goes on where the note says', () => {
  const input = reopenInput(from, null, new CorruptionError(corruption))
  expect(input).toMatchObject({ resume, recoveryPoint: 100, provenEnd: 120 })
})

test('an end that was given up counts no more', () => {
  const input = reopenInput(from, 50, new CorruptionError(corruption))
  expect(input).toMatchObject({ resume: null, recoveryPoint: 50, provenEnd: null })
})
