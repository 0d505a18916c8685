import { expect, test } from 'vitest'
import { runCluster } from '../../src/testing/clusterRun.ts'
import { foundSeeds } from '../../src/testing/foundSeeds.ts'

test.each(foundSeeds)(
  'seed $seed: $found',
  async ({ seed }) => {
    const { failure, acked } = await runCluster({ seed })
    expect(failure?.message ?? null).toBeNull()
    expect(acked).toBeGreaterThan(0)
  },
  60_000,
)
