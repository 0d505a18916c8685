import fc from 'fast-check'

/** What every property test starts from, so that a change is judged by itself; another one with CORDWOOD_SEED. */
const defaultSeed = 20_261_121

const { CORDWOOD_SEED } = process.env
fc.configureGlobal({ seed: CORDWOOD_SEED === undefined ? defaultSeed : Number(CORDWOOD_SEED) })
