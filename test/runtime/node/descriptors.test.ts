import { expect, test } from 'vitest'
import {
  descriptorLimit,
  descriptorsForConnections,
  descriptorsForFiles,
} from '../../../src/runtime/node/descriptors.ts'

test('connections and files share the descriptors of the process', () => {
  const limit = descriptorLimit() ?? 1024
  const connections = descriptorsForConnections(2) ?? 1
  expect(descriptorsForFiles() + 2 * connections).toBeLessThan(limit)
  expect(connections).toBeGreaterThan(0)
})
