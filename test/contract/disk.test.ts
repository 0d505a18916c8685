import { describe } from 'vitest'
import { diskContract } from './diskContract.ts'
import { implementations } from './implementations.ts'

describe.each(implementations)('the $name disk', ({ create }) => {
  diskContract(create)
})
