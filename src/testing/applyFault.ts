import { damageDisk, spoilSectors } from './damageDisk.ts'
import type { Cut, Fault } from './fault.ts'
import { resetError } from './simConnection.ts'
import type { SimNode } from './simNode.ts'
import { SimRandom } from './simRandom.ts'
import type { World } from './world.ts'
import type { Running } from './worldTypes.ts'

/** How soon a node whose disk was changed or that fell in a crash loop is started again, in milliseconds. */
const soonMs = 50

/** Makes `fault` happen, and has it end in its time. */
export function applyFault<P extends Running>(world: World<P>, fault: Fault): void {
  switch (fault.kind) {
    case 'kill': {
      const node = world.target(fault.node)
      node.kill()
      startLater(world, node, fault.downMs)
      break
    }
    case 'killAtCall': {
      const node = world.target(fault.node)
      killAtCall(node, fault.calls, () => startLater(world, node, fault.downMs))
      break
    }
    case 'powerCut': {
      const nodes = fault.node === 'all' ? [...world.nodes.values()] : [world.target(fault.node)]
      for (const node of nodes) {
        node.crash(fault.kept, fault.names)
        startLater(world, node, fault.downMs)
      }
      break
    }
    case 'crashAfterVote': {
      const node = world.target(fault.node)
      node.onVote = () => {
        node.onVote = null
        later(world, fault.afterMs, () => {
          if (!node.isAlive || node.staysDown) return
          node.crash(0, 'journalled')
          startLater(world, node, 1)
        })
      }
      break
    }
    case 'crashLoop':
      crashLoop(world, world.target(fault.node), fault.times, fault.calls)
      break
    case 'restart': {
      const node = world.target(fault.node)
      void node.close().then(() => startLater(world, node, fault.downMs))
      break
    }
    case 'pause': {
      const node = world.target(fault.node)
      node.pausedUntilMs = Math.max(node.pausedUntilMs, world.nowMs + fault.forMs)
      break
    }
    case 'wallJump':
      world.target(fault.node).machine.jumpWall(fault.byMs)
      break
    case 'drift': {
      const { machine } = world.target(fault.node)
      machine.factor = fault.factor
      later(world, fault.forMs, () => {
        machine.factor = 1
      })
      break
    }
    case 'looseTimers': {
      const { machine } = world.target(fault.node)
      machine.looseness = fault.share
      later(world, fault.forMs, () => {
        machine.looseness = 0
      })
      break
    }
    case 'partition':
      if (fault.shape === 'clientWithLeader') clientWithLeader(world, fault.forMs, fault.resets)
      else partition(world, fault.links, fault.forMs, fault.repeats, fault.resets)
      break
    case 'cutReigns':
      cutReigns(world, fault.times, fault.forMs)
      break
    case 'clog':
      partition(world, [fault], fault.forMs, 0, false)
      break
    case 'slowLink': {
      const { links } = world.network
      links.slow(fault.from, fault.to, [fault.minMs, fault.maxMs])
      later(world, fault.forMs, () => links.slow(fault.from, fault.to, null))
      break
    }
    case 'lossyLink': {
      const { links } = world.network
      links.lose(fault.from, fault.to, fault.loss)
      later(world, fault.forMs, () => links.lose(fault.from, fault.to, 0))
      break
    }
    case 'reset':
      world.network.resetAfter(fault.from, fault.to, fault.afterBytes)
      break
    case 'halfOpen':
      for (const connection of world.network.between(fault.from, fault.to)) {
        const told = fault.deaf === 'from' ? connection.peer : connection
        told.isSilent = true
        told.abort(resetError(told.remote))
      }
      break
    case 'lateRequests':
      lateRequests(world, fault.from, fault.to, fault.lateMs)
      break
    case 'slowAccept': {
      const { host } = world.target(fault.node)
      host.acceptDelayMs = fault.delayMs
      later(world, fault.forMs, () => {
        host.acceptDelayMs = 0
      })
      break
    }
    case 'syncError': {
      const node = world.target(fault.node)
      node.trouble.syncErrorIn = fault.calls
      world.tell((watcher) => watcher.mayForget?.(node))
      break
    }
    case 'readError': {
      const { trouble } = world.target(fault.node)
      trouble.readErrorShare = fault.share
      later(world, fault.forMs, () => {
        trouble.readErrorShare = 0
      })
      break
    }
    case 'badSector': {
      const { id, fs } = world.target(fault.node)
      spoilSectors(fs, new SimRandom(fault.seed))
      world.operator?.({ ...fault, node: id })
      break
    }
    case 'diskFull': {
      const { trouble } = world.target(fault.node)
      trouble.isFull = true
      later(world, fault.forMs, () => {
        trouble.isFull = false
      })
      break
    }
    case 'shortWrites': {
      const { trouble } = world.target(fault.node)
      trouble.shortWriteShare = fault.share
      later(world, fault.forMs, () => {
        trouble.shortWriteShare = 0
      })
      break
    }
    case 'noDescriptors': {
      const { trouble } = world.target(fault.node)
      trouble.hasNoDescriptors = true
      later(world, fault.forMs, () => {
        trouble.hasNoDescriptors = false
      })
      break
    }
    case 'slowDisk': {
      const { trouble } = world.target(fault.node)
      trouble.slowMs = [fault.minMs, fault.maxMs]
      later(world, fault.forMs, () => {
        trouble.slowMs = null
      })
      break
    }
    case 'hungDisk': {
      const node = world.target(fault.node)
      const { session } = node
      node.trouble.isHung = true
      // Calls that hang never return: somebody ends the process and starts it again.
      later(world, fault.forMs, () => {
        if (node.session === session) node.kill()
        startLater(world, node, soonMs)
      })
      break
    }
    case 'rot': {
      const node = world.target(fault.node)
      node.kill()
      damageDisk(node.fs, fault.damage, new SimRandom(fault.seed))
      world.tell((watcher) => watcher.damaged?.(node))
      startLater(world, node, soonMs)
      break
    }
    case 'diskLost': {
      const node = world.target(fault.node)
      node.replaceDisk(null)
      startLater(world, node, fault.downMs)
      break
    }
    case 'diskBack': {
      const node = world.target(fault.node)
      const copy = node.fs.image
      // A start lies between: only that tells an earlier disk from the same one.
      const { session } = node
      node.kill()
      startLater(world, node, soonMs)
      later(world, fault.agoMs, () => {
        if (node.session === session || world.mayGoBack?.(node.id) === false) return
        node.replaceDisk(copy)
        startLater(world, node, fault.downMs)
      })
      break
    }
    case 'lyingFlush': {
      const node = world.target(fault.node)
      const { fs } = node
      fs.isLying = true
      world.tell((watcher) => watcher.damaged?.(node))
      later(world, fault.forMs, () => {
        fs.isLying = false
        if (node.fs === fs) node.crash(0, 'adversarial')
        startLater(world, node, soonMs)
      })
      break
    }
    case 'transferLeadership':
    case 'addVoter':
    case 'removeVoter':
    case 'snapshot':
      world.operator?.(fault)
      break
  }
}

/** Has something happen in its time, unless the world has been healed by then; never when that is infinite. */
function later<P extends Running>(world: World<P>, delayMs: number, run: () => void): void {
  if (delayMs === Number.POSITIVE_INFINITY) return
  world.after(delayMs, () => {
    if (!world.isHealed) run()
  })
}

function startLater<P extends Running>(world: World<P>, node: SimNode<P>, downMs: number): void {
  // It was still on its way down when everything was healed.
  if (world.isHealed && !node.staysDown) node.start()
  later(world, downMs, () => {
    if (!node.staysDown) node.start()
  })
}

/** Kills the process of `node` in its `calls`-th call of the system. */
function killAtCall<P extends Running>(node: SimNode<P>, calls: number, then: () => void): void {
  let left = calls
  const onCall = (): void => {
    if (--left > 0) return
    node.trouble.onCall = null
    node.host.onCall = null
    node.kill()
    then()
  }
  node.trouble.onCall = onCall
  node.host.onCall = onCall
}

function crashLoop<P extends Running>(world: World<P>, node: SimNode<P>, times: number, calls: number): void {
  let left = times
  const begin = (): void => killAtCall(node, calls, () => startLater(world, node, soonMs))
  node.onStart = () => {
    if (--left > 0) begin()
    else node.onStart = null
  }
  node.kill()
  startLater(world, node, soonMs)
}

function partition<P extends Running>(
  world: World<P>,
  cuts: readonly Cut[],
  forMs: number,
  repeats: number,
  resets: boolean,
): void {
  const { network } = world
  for (const { from, to } of cuts) network.links.cut(from, to)
  later(world, forMs, () => {
    for (const { from, to } of cuts) {
      network.links.mend(from, to)
      if (!resets) continue
      for (const connection of [...network.between(from, to), ...network.between(to, from)]) {
        for (const side of [connection, connection.peer]) side.abort(resetError(side.remote))
      }
    }
    if (repeats > 0) later(world, forMs, () => partition(world, cuts, forMs, repeats - 1, resets))
  })
}

/** The next leaders are cut off as soon as they lead. */
function cutReigns<P extends Running>(world: World<P>, times: number, forMs: number): void {
  let left = times
  let last: number | null = world.leaderOf?.() ?? null
  world.watch({
    afterEvent() {
      if (left === 0 || world.isHealed) return
      const leader = world.leaderOf?.() ?? null
      if (leader === last) return
      last = leader
      if (leader === null) return
      left--
      const others = [...world.nodes.keys()].filter((id) => id !== leader)
      const cuts = others.flatMap((id) => [
        { from: leader, to: id },
        { from: id, to: leader },
      ])
      partition(world, cuts, forMs, 0, false)
    },
  })
}

/** The leader is cut off from all others, and clients stay on its side. */
function clientWithLeader<P extends Running>(world: World<P>, forMs: number, resets: boolean): void {
  const { id } = world.target('leader')
  const cuts = [...world.nodes.keys()]
    .filter((other) => other !== id)
    .flatMap((other) => [
      { from: id, to: other },
      { from: other, to: id },
      ...world.clientHosts.flatMap((client) => [
        { from: client, to: other },
        { from: other, to: client },
      ]),
    ])
  partition(world, cuts, forMs, 0, resets)
  world.clientSide = id
  later(world, forMs, () => {
    world.clientSide = null
  })
}

function lateRequests<P extends Running>(world: World<P>, from: number, to: number, lateMs: number): void {
  const connections = world.network.between(from, to)
  for (const connection of connections) connection.heldUntilMs = world.nowMs + lateMs
  // For a while requests pile up; then the one who sent them gives the connection up.
  later(world, lateMs / 3, () => {
    for (const connection of connections) {
      connection.isSilent = true
      connection.abort(resetError(connection.remote))
    }
  })
  later(world, lateMs + 1000, () => {
    for (const { peer } of connections) peer.abort(resetError(peer.remote))
  })
}
