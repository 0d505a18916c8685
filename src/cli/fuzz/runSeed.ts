import { runBrokers } from '../../testing/brokers/brokerRun.ts'
import { type RunOptions, type RunResult, runCluster } from '../../testing/clusterRun.ts'

/** A run of replicated logs alone, or of whole brokers. */
export interface SeedOptions extends Omit<RunOptions, 'shape' | 'expectation'> {
  readonly brokers?: boolean
}

/** What either kind of run comes to. */
export interface SeedResult extends Omit<RunResult, 'shape' | 'operations'> {
  readonly shape: { readonly nodes: number }
  readonly operations: readonly { readonly number: number }[]
}

/** One run. A pure function of its options. */
export function runSeed({ brokers, ...options }: SeedOptions): Promise<SeedResult> {
  return brokers === true ? runBrokers(options) : runCluster(options)
}
