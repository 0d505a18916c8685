import type { Runtime } from '../runtime/runtime.ts'
import type { Fault } from './fault.ts'
import type { SimDisk } from './simDisk.ts'
import type { SimNode } from './simNode.ts'
import type { SimRandom } from './simRandom.ts'
import type { World } from './world.ts'

/** What runs on a node once it has been opened. */
export interface Running {
  /** Ends in order. A process that is killed is not asked. */
  close(): Promise<void>
}

/** Opens what runs on a node; called at every start of it. Everything it does of the world goes through `place.runtime`. */
export type Program<P extends Running = Running> = (place: Place<P>) => Promise<P>

/** The seam as a node of a world has it. */
export interface NodeRuntime extends Runtime {
  readonly random: SimRandom
  readonly disk: SimDisk
}

/** Where a program runs. */
export interface Place<P extends Running = Running> {
  readonly world: World<P>
  readonly node: SimNode<P>
  readonly nodeId: number
  readonly runtime: NodeRuntime
  /** Of the world: where node `id` listens. */
  endpointOf(id: number): { readonly host: string; readonly port: number }
}

/** How a process came to its end. `crash` is a power cut. */
export type StopKind = 'kill' | 'crash' | 'close' | 'failed'

/** Hears of what happens in a world; called at once, in the order in which it happens. */
export interface WorldWatcher<P extends Running = Running> {
  /** A process begins; its program is about to be opened. `node.session` counts them. */
  starting?(node: SimNode<P>): void
  /** The program of a node is open. */
  started?(node: SimNode<P>): void
  /** A process has ended; `node.running` is null, and the disk has what is left. */
  stopped?(node: SimNode<P>, how: StopKind, error: unknown): void
  /** A fault begins. */
  faulted?(fault: Fault): void
  /** What a node had not synced may be gone: its power was cut, or a sync is about to fail. */
  mayForget?(node: SimNode<P>): void
  /** The disk of a node was replaced: by nothing, or by a copy of its own. */
  diskReplaced?(node: SimNode<P>, by: 'nothing' | 'copy'): void
  /** What was stored on a node is no longer what was written, or was never stored. */
  damaged?(node: SimNode<P>): void
  /** After each event, once everything that it set going has come to rest. Throws to end the run. */
  afterEvent?(): void
}

/** What a world is made of. */
export interface WorldOptions<P extends Running = Running> {
  /** Everything random follows from it. */
  readonly seed: number
  /** How many nodes, from id 1 on. */
  readonly nodes: number
  readonly program: Program<P>
  /** What goes wrong when; nothing by default. See `planFaults`. */
  readonly faults?: readonly Fault[]
  /** Numbers of faults that are left out. */
  readonly skipFaults?: ReadonlySet<number>
  readonly watchers?: readonly WorldWatcher<P>[]
  /** How long calls of the disk take when nothing is wrong: syncs, and the rest. */
  readonly syncMs?: readonly [min: number, max: number]
  readonly callMs?: readonly [min: number, max: number]
  /** How long a chunk is on its way when nothing is wrong. */
  readonly linkMs?: readonly [min: number, max: number]
  /** Milliseconds since 1970 at the beginning. */
  readonly wallMs?: number
}
