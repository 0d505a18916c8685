import type { Services } from './services.ts'

/** What this node has to mend of itself, beside damaged stretches of files. */
export interface ReplicaHealth {
  /** Replicas whose vote does not count as others do: they may have forgotten what they have claimed. */
  readonly quarantined: number
  /** Replicas that are being made from those of others and are no voters yet. */
  readonly rebuilding: number
  /** Replicas that have been since the node started. */
  readonly rebuilt: number
  /** When the data directory began anew, because what it held could not be trusted, and why; null if it never had to. */
  readonly beganAnew: { readonly atMs: number; readonly reason: string } | null
}

/** Looks at all replicas of a node of a cluster. */
export function replicaHealth({ base }: NonNullable<Services['cluster']>): ReplicaHealth {
  let quarantined = 0
  let rebuilding = 0
  for (const group of base.host.groups.values()) {
    if (group.quarantine !== 'none') quarantined += 1
    if (group.spec.kind === 'partition' && group.state === 'observer') rebuilding += 1
  }
  const { beginning } = base
  const beganAnew = beginning === null ? null : { atMs: beginning.atMs, reason: beginning.reason }
  return { quarantined, rebuilding, rebuilt: base.host.stats.rebuilt, beganAnew }
}
