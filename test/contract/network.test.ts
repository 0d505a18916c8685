import { describe } from 'vitest'
import { implementations } from './implementations.ts'
import { networkContract } from './networkContract.ts'

describe.each(implementations)('the $name network', ({ create }) => {
  networkContract(create)
})
