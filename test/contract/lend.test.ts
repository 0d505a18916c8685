import { describe } from 'vitest'
import { implementations } from './implementations.ts'
import { lendContract } from './lendContract.ts'
import { simulated } from './simulated.ts'

describe.each([...implementations, simulated])('the memory of the $name disk', ({ create }) => {
  lendContract(create)
})
