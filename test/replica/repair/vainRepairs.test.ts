import { expect, test } from 'vitest'
import { VainRepairs } from '../../../src/replica/repair/vainRepairs.ts'

test('a place that was mended three times in vain is not mended alone again, until its file has been written anew', () => {
  const vain = new VainRepairs()
  const place = { file: '/a/0.log', position: 10 }
  const times = (): boolean[] => Array.from({ length: 5 }, () => vain.isVain(place))
  expect(times()).toEqual([false, false, false, true, true])
  expect(vain.isVain({ ...place, position: 11 })).toBe(false)
  expect(vain.isVain({ ...place, file: '/b/0.log' })).toBe(false)
  vain.forget('/b/0.log')
  expect(vain.isVain(place)).toBe(true)
  vain.forget(place.file)
  expect(times()).toEqual([false, false, false, true, true])
})
