import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Endpoint } from '../raft.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { AlarmLog } from './alarmLog.ts'
import type { AppendBudget } from './appendBudget.ts'
import type { CatchUp } from './catchUp.ts'
import type { ElectionPace } from './electionPace.ts'
import type { GroupObserver } from './observer.ts'
import type { Sleepers } from './sleepers.ts'
import type { TimerWheel } from './timerWheel.ts'
import type { Transport } from './transport.ts'
import type { WriteTurn } from './writeTurn.ts'

/** What all groups of a node share. */
export interface GroupWorld {
  readonly runtime: Runtime
  readonly nodeId: number
  readonly clusterId: string | null
  readonly directoryId: Uuid
  readonly endpoints: readonly Endpoint[]
  readonly transport: Transport
  readonly turn: WriteTurn
  readonly wheel: TimerWheel
  readonly sleepers: Sleepers
  readonly pace: ElectionPace
  readonly budget: AppendBudget
  readonly catchUp: CatchUp
  readonly maxFetchBytes: number
  readonly logger: Logger
  readonly alarms: AlarmLog
  readonly observer: GroupObserver | null
}
