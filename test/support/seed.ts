import fc from 'fast-check'
import { replicaMemory } from '../../src/replica/leasedMemory.ts'

// Whoever looks at memory of a replica that was given back finds no sense in it.
replicaMemory.poison()

/** What every property test starts from, so that a change is judged by itself; another one with CORDWOOD_SEED. */
const defaultSeed = 20_261_121

const { CORDWOOD_SEED } = process.env
fc.configureGlobal({ seed: CORDWOOD_SEED === undefined ? defaultSeed : Number(CORDWOOD_SEED) })
