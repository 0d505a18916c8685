import { inlineCompute } from '../runtime/compute.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { tasks } from '../segment/tasks.ts'
import { BadSectors } from './badSectors.ts'
import { DiskTrouble } from './diskTrouble.ts'
import type { QueuedEvent } from './eventQueue.ts'
import type { KeptNames, KeptShare } from './fault.ts'
import { LentMemory } from './lentMemory.ts'
import type { Image } from './medium.ts'
import { noCodecs } from './noCodecs.ts'
import { MachineClock, NodeClock } from './nodeClock.ts'
import { powerCut } from './powerCut.ts'
import { SimDisk } from './simDisk.ts'
import { SimFileSystem } from './simFileSystem.ts'
import type { SimHost } from './simNetwork.ts'
import { SimRandom } from './simRandom.ts'
import type { World } from './world.ts'
import type { NodeRuntime, Running, StopKind } from './worldTypes.ts'

/** After how long a program that could not be opened is started again: what a supervisor does. */
const restartMs = 500
/** How long closing in order may take before the process is killed. */
const closeTimeoutMs = 10_000

/** One for all nodes: what replicas take from one disk is used again for those of another, which are in the same process here. */
const lent = new LentMemory()

/** What belongs to one process: it dies with it. */
interface Process {
  readonly runtime: NodeRuntime
  readonly clock: NodeClock
  readonly disk: SimDisk
}

/** One machine of a world: its disk and clocks, and the process that runs on it, if any. */
export class SimNode<P extends Running = Running> {
  readonly world: World<P>
  readonly id: number
  readonly host: SimHost
  readonly machine: MachineClock
  readonly trouble: DiskTrouble
  /** The disk; another one after a power cut. */
  fs: SimFileSystem
  /** Counts the processes that there were on this machine. */
  session = 0
  /** What the program gave, once it is open. */
  running: P | null = null
  /** Until when the process stands still. */
  pausedUntilMs = 0
  /** Why the last process could not be opened or went away by itself; null when it did not. */
  failure: unknown = null
  /** Whether nobody starts this node again until it is told to. */
  staysDown = false
  isClosing = false
  /** What was on the disk some time ago. */
  copy: Image | null = null
  readonly #random: SimRandom
  /** Counts the starts of the machine, and the disks that it had. */
  #mounts = 0
  /** What happened to the process while it stood still. */
  #putOff: QueuedEvent[] = []
  #process: Process | null = null
  /** Called when a binding vote, asked for or given, leaves the node, while a fault waits for that. */
  onVote: (() => void) | null = null
  /** Called in each start, when the process may be killed in it. */
  onStart: (() => void) | null = null

  constructor(world: World<P>, id: number, random: SimRandom) {
    const { queue, network, options } = world
    this.world = world
    this.id = id
    this.#random = random
    this.host = network.addHost(id, `node-${id}`)
    this.machine = new MachineClock(queue, (options.wallMs ?? 1_700_000_000_000) + random.below(1000))
    this.trouble = new DiskTrouble(
      queue,
      id,
      random.fork(),
      options.syncMs ?? [0.3, 3],
      options.callMs ?? [0.01, 0.1],
    )
    this.fs = this.#fileSystem(null)
  }

  /** Keeps an event until the process goes on. */
  putOff(event: QueuedEvent): void {
    if (this.#putOff.length === 0) {
      const wake = (): void => {
        if (this.pausedUntilMs <= this.world.nowMs) this.resume()
        else this.world.after(this.pausedUntilMs - this.world.nowMs, wake)
      }
      this.world.after(this.pausedUntilMs - this.world.nowMs, wake)
    }
    this.#putOff.push(event)
  }

  /** The process goes on: everything that happened meanwhile happens to it now. */
  resume(): void {
    this.pausedUntilMs = 0
    for (const event of this.#putOff.splice(0)) this.world.queue.again(event)
  }

  /** Whether a process is there, open or not. */
  get isAlive(): boolean {
    return this.#process !== null
  }

  get runtime(): NodeRuntime | null {
    return this.#process?.runtime ?? null
  }

  /** Timers that the process waits for. */
  get pendingTimers(): number {
    return this.#process?.clock.pendingTimers ?? 0
  }

  /** Begins a process, unless there is one. */
  start(): void {
    if (this.#process !== null) return
    const { world, host } = this
    this.session++
    this.failure = null
    this.isClosing = false
    this.resume()
    this.trouble.isHung = false
    this.trouble.owesSyncError ||= this.trouble.hasFailedSync
    this.trouble.hasFailedSync = false
    host.isUp = true
    this.#process = this.#newProcess()
    this.onStart?.()
    world.tell((watcher) => watcher.starting?.(this))
    void this.#open(this.#process)
  }

  /** The process dies; what it has handed to the system stays. */
  kill(): void {
    this.#stop('kill', null)
  }

  /** The power goes. Also of a machine without a process: what it had not synced may be lost. */
  crash(kept: KeptShare, names: KeptNames): void {
    const hadProcess = this.#process !== null
    this.world.tell((watcher) => watcher.mayForget?.(this))
    this.#detach('crash')
    this.trouble.hasFailedSync = false
    this.trouble.owesSyncError = false
    this.fs = this.#fileSystem(powerCut(this.fs.medium, kept, names, this.#random), this.fs.badSectors)
    if (hadProcess) this.world.tell((watcher) => watcher.stopped?.(this, 'crash', null))
  }

  /** Closes in order; killed when that takes too long. */
  async close(): Promise<void> {
    const { running } = this
    const process = this.#process
    if (process === null) return
    if (running === null || this.isClosing) {
      this.kill()
      return
    }
    this.isClosing = true
    this.world.after(closeTimeoutMs, () => {
      if (this.#process === process) this.kill()
    })
    try {
      await running.close()
      if (this.#process !== process) return
      await process.disk.close()
    } catch (error) {
      if (this.#process === process) this.#fail(error)
      return
    }
    if (this.#process === process) this.#stop('close', null)
  }

  /** What runs here has ended by itself: as when the program says that it cannot go on. */
  exit(error: unknown): void {
    this.#fail(error)
  }

  /** Puts another disk in the place of this one; no process runs meanwhile. */
  replaceDisk(image: Image | null): void {
    this.kill()
    this.fs = this.#fileSystem(image)
    this.world.tell((watcher) => watcher.diskReplaced?.(this, image === null ? 'nothing' : 'copy'))
  }

  async #open(process: Process): Promise<void> {
    const { world } = this
    try {
      const running = await world.options.program({
        world,
        node: this,
        nodeId: this.id,
        runtime: process.runtime,
        endpointOf: (id) => world.endpointOf(id),
      })
      if (this.#process !== process) return
      this.running = running
      world.tell((watcher) => watcher.started?.(this))
    } catch (error) {
      if (this.#process === process) this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.failure = error
    this.#stop('failed', error)
    this.world.after(restartMs, () => {
      if (!this.staysDown) this.start()
    })
  }

  #stop(how: StopKind, error: unknown): void {
    if (this.#process === null) return
    this.#detach('kill')
    this.world.tell((watcher) => watcher.stopped?.(this, how, error))
  }

  #detach(how: 'kill' | 'crash'): void {
    const process = this.#process
    this.#process = null
    this.running = null
    this.isClosing = false
    this.trouble.onCall = null
    this.host.onCall = null
    process?.clock.kill()
    process?.disk.kill()
    this.world.network.endProcess(this.host, how)
  }

  #newProcess(): Process {
    const { world, machine, trouble, fs, host } = this
    const random = new SimRandom(world.seed * 65_537 + this.id * 4099 + this.session)
    const clock = new NodeClock(world.queue, machine, random.fork(), this.id)
    const disk = new SimDisk(fs, {
      random: random.fork(),
      pace: trouble,
      faults: (call) => trouble.faultOf(call, fs),
      lent,
    })
    const readRange = (
      file: { readonly path: string },
      target: Uint8Array,
      position: number,
    ): Promise<number> => disk.readAt(file.path, target, position)
    host.readRange = readRange
    const runtime: NodeRuntime = {
      clock,
      random,
      disk,
      network: world.network.networkFor(host, readRange),
      checksum: nodeChecksum,
      compute: inlineCompute(tasks, { disk, checksum: nodeChecksum, codecs: noCodecs }),
    }
    return { runtime, clock, disk }
  }

  #fileSystem(image: Image | null, badSectors = new BadSectors()): SimFileSystem {
    return new SimFileSystem({
      badSectors,
      ...(image === null ? {} : { image }),
      mount: `boot-${++this.#mounts}`,
      wallMs: () => this.machine.wallMs,
    })
  }
}
