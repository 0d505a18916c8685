import { expect, test } from 'vitest'
import { diskError, syncError } from '../../../src/runtime/node/systemErrors.ts'

const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })

test('a write without room may be undone, a sync without room is a failed sync', () => {
  expect(diskError(full, 'cannot write x')).toMatchObject({ code: 'diskFull', cause: full })
  expect(syncError(full, 'cannot sync x')).toMatchObject({
    code: 'diskFailed',
    message: 'cannot sync x: no space left on the disk (ENOSPC)',
  })
})
