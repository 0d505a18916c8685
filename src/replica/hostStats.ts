import type { AlarmCode, VotersEntry } from '../raft.ts'
import type { GroupListener } from './groupTypes.ts'

/** What has happened to the replicas of a node since it started: numbers that only grow. */
export class HostStats {
  /** How often a replica here stood for election, was elected, and learned of another leader or epoch. */
  elections = 0
  elected = 0
  leaderChanges = 0
  /** Replicas whose log has failed, and that took part again. */
  failed = 0
  revived = 0
  /** Replicas that were made from those of others and have become voters. */
  rebuilt = 0
  /** Snapshots that were damaged or missing here and were replaced. */
  snapshotsReplaced = 0
  readonly #alarms = new Map<AlarmCode, number>()

  /** Alarms that were raised here, by what they are about. */
  get alarms(): ReadonlyMap<AlarmCode, number> {
    return this.#alarms
  }

  /**
   * Counts what is told of one group. `isVoter` says of a set whether this replica is in it; `wasVoter`, whether it was to begin with.
   */
  listener(isVoter: (voters: VotersEntry) => boolean, wasVoter: boolean): GroupListener {
    let lastEpoch = -1
    let lastLeader = -1
    let isIn = wasVoter
    return {
      voters: (entry) => {
        if (isIn || !isVoter(entry)) return
        isIn = true
        this.rebuilt += 1
      },
      leadership: (state, leaderEpoch, leaderId) => {
        if (state === 'candidate') this.elections += 1
        if (leaderId < 0 || (leaderEpoch === lastEpoch && leaderId === lastLeader)) return
        if (state === 'leader') this.elected += 1
        if (lastEpoch >= 0) this.leaderChanges += 1
        lastEpoch = leaderEpoch
        lastLeader = leaderId
      },
      alarm: ({ code }) => void this.#alarms.set(code, (this.#alarms.get(code) ?? 0) + 1),
      failed: () => {
        this.failed += 1
      },
      revived: () => {
        this.revived += 1
      },
      snapshotReplaced: () => {
        this.snapshotsReplaced += 1
      },
    }
  }
}
