import { describe } from 'vitest'
import { diskContract } from './diskContract.ts'
import { implementations } from './implementations.ts'
import { simulated } from './simulated.ts'

describe.each([...implementations, simulated])('the $name disk', ({ create }) => {
  diskContract(create)
})
