import { expect, test } from 'vitest'
import { decideUpdateFeatures } from '../../src/controller/decideFeatures.ts'
import { MutableImage } from '../../src/controller/image.ts'

const update = (name: string, level: number) =>
  decideUpdateFeatures(new MutableImage('cluster'), {
    type: 'updateFeatures',
    updates: [{ name, level }],
  })

test('kraft.version is 1 in every cluster: to ask for that changes nothing, anything else is refused with what there is', () => {
  expect(update('kraft.version', 1)).toEqual({ records: [], result: [null] })
  expect(update('kraft.version', 0).result[0]).toMatchObject({
    code: 'invalidUpdateVersion',
    message: expect.stringContaining('Only 1 is supported'),
  })
  expect(update('kraft.verzion', 1).result[0]).toMatchObject({ code: 'invalidUpdateVersion' })
})
