import { describe } from 'vitest'
import { implementations } from './implementations.ts'
import { networkContract } from './networkContract.ts'
import { simulatedNetwork } from './simulated.ts'

describe.each([...implementations, simulatedNetwork])('the $name network', ({ create }) => {
  networkContract(create)
})
