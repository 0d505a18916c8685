import { afterEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { plant } from '../../src/model/planted.ts'
import { CacheProof, cacheWordFile } from '../../src/replica/cacheProof.ts'
import type { Group } from '../../src/replica/group.ts'
import { decodeQuorum, stateKind } from '../../src/replica/groupStates.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import { expectAckBehind } from './support/ackBehind.ts'
import { batchOf } from './support/cluster.ts'
import { Lone } from './support/lone.ts'

const directory = '/data'

let seed = 0

function look(fs: SimFileSystem, faults: DiskFaults | null = null): Promise<CacheProof> {
  const runtime = createSimRuntime(fs, { seed: ++seed, ...(faults === null ? {} : { faults }) })
  return CacheProof.look(runtime, directory, silentLogger)
}

/** Node 1 on what `fs` holds, as it is started. */
async function start(fs: SimFileSystem, faults: DiskFaults | null = null): Promise<Lone> {
  return Lone.start(fs, { cache: await look(fs, faults) })
}

async function open(lone: Lone, flush: 'none' | 'journal' = 'none', partition = 0): Promise<Group> {
  const group = await lone.open(3, partition, { config: { ...defaultLogConfig, flush } })
  await lone.quiet()
  return group
}

function quarantineOf(lone: Lone, group: Group): string {
  const bytes = lone.logs.stateOf(group.log, stateKind.quorum)
  return bytes === null ? 'none' : decodeQuorum(bytes).quorum.quarantine
}

/** The process dies: what it has handed to the system stays. */
function kill(lone: Lone): SimFileSystem {
  lone.runtime.disk.kill()
  return lone.fs
}

/** The machine is started again, with all that was in its page cache: it cannot know that. */
function reboot(lone: Lone, mount: string): SimFileSystem {
  return new SimFileSystem({ image: lone.fs.image, mount })
}

const withMount = (): SimFileSystem => new SimFileSystem({ mount: 'boot-1' })

describe('a replica that claims what is in the page cache', () => {
  afterEach(() => plant(null))

  test('has forgotten nothing when its process alone has died, however often', async () => {
    let lone = await start(withMount())
    await open(lone)
    for (let round = 0; round < 3; round++) {
      lone = await start(kill(lone))
      expect(quarantineOf(lone, await open(lone))).toBe('none')
    }
  })

  test('may have forgotten something once the machine was started again, and that stays so', async () => {
    let lone = await start(withMount())
    await open(lone)
    lone = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(lone, await open(lone))).toBe('forgotten')
    lone = await start(kill(lone))
    expect(quarantineOf(lone, await open(lone))).toBe('forgotten')
  })

  test('is trusted after a start of the machine when the mount is not compared: the planted mistake', async () => {
    const lone = await start(withMount())
    await open(lone)
    plant('mountNotCompared')
    const next = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(next, await open(next))).toBe('none')
  })

  test('has a proof of its own: one that was not opened after a start of the machine is not covered by the next', async () => {
    let lone = await start(withMount())
    await open(lone)
    lone = await start(reboot(lone, 'boot-2'))
    // Another one is, and stores the word of this start.
    await open(lone, 'none', 1)
    lone = await start(kill(lone))
    expect(quarantineOf(lone, await open(lone))).toBe('forgotten')
  })

  test('may have forgotten something when the system tells that not all could be written', async () => {
    const lone = await start(withMount())
    await open(lone)
    const next = await start(kill(lone), ({ kind }) => (kind === 'syncFileSystem' ? { code: 'EIO' } : null))
    expect(quarantineOf(next, await open(next))).toBe('forgotten')
  })

  test('may have forgotten something when its log had failed before the process died', async () => {
    const lone = await start(withMount())
    const group = await open(lone)
    const log = group.log as unknown as { goOffline(error: EngineError): void }
    log.goOffline(new EngineError('diskFailed', 'a sync has failed'))
    await lone.quiet()
    expect(group.failure).not.toBe(null)
    const next = await start(kill(lone))
    expect(quarantineOf(next, await open(next))).toBe('forgotten')
  })

  test('may have forgotten something when the end of its log is damaged, though the cache was kept', async () => {
    const lone = await start(withMount())
    await open(lone)
    const group = await lone.elect()
    await group.append(batchOf(lone.runtime, 'a'), { acks: 'leader' })
    await group.append(batchOf(lone.runtime, 'b'), { acks: 'leader' })
    const fs = kill(lone)
    const file = fs.list(group.log.directory).find(({ name }) => name.endsWith('.log'))!.name
    fs.damage(`${group.log.directory}/${file}`, (bytes) => bytes.subarray(0, bytes.length - 3))
    const next = await start(fs)
    const again = await open(next)
    expect(again.log.logEndOffset).toBe(1)
    expect(again.log.wasCut).toBe(true)
    expect(quarantineOf(next, again)).toBe('forgotten')
  })

  test('is not covered where the system does not tell of mounts', async () => {
    const lone = await start(new SimFileSystem())
    await open(lone)
    expect(lone.fs.stat(`${directory}/${cacheWordFile}`)).toBe(null)
    const next = await start(kill(lone))
    expect(quarantineOf(next, await open(next))).toBe('forgotten')
  })
})

test('a replica with a durable policy needs no proof, and leaves none', async () => {
  const lone = await start(withMount())
  await open(lone, 'journal')
  expect(lone.fs.stat(`${directory}/${cacheWordFile}`)).toBe(null)
  const next = await start(reboot(lone, 'boot-2'))
  expect(quarantineOf(next, await open(next, 'journal'))).toBe('none')
})

describe('a policy that changes', () => {
  const configOf = (flush: 'none' | 'journal') => ({ ...defaultLogConfig, flush })

  test('while the replica is away hides nothing that it has forgotten', async () => {
    let lone = await start(withMount())
    await open(lone, 'none')
    lone = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(lone, await open(lone, 'journal'))).toBe('forgotten')
    lone = await start(reboot(lone, 'boot-3'))
    expect(quarantineOf(lone, await open(lone, 'journal'))).toBe('forgotten')
  })

  test('to a durable one needs no proof any more once everything is durable', async () => {
    let lone = await start(withMount())
    await open(lone, 'none')
    lone = await start(kill(lone))
    expect(quarantineOf(lone, await open(lone, 'journal'))).toBe('none')
    lone = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(lone, await open(lone, 'journal'))).toBe('none')
  })

  test('to a durable one while the replica runs counts once what came before is synced', async () => {
    for (const isSynced of [false, true]) {
      const lone = await start(withMount())
      await open(lone, 'none')
      const group = await lone.elect()
      await group.append(batchOf(lone.runtime, 'a'), { acks: 'leader' })
      if (!isSynced) lone.gate.hold('sync')
      group.updateConfig(configOf('journal'))
      await lone.quiet()
      const next = await start(reboot(lone, 'boot-2'))
      expect(quarantineOf(next, await open(next, 'journal'))).toBe(isSynced ? 'none' : 'forgotten')
    }
  })

  test('to a relaxed one claims nothing of the page cache before that is stored', async () => {
    const lone = await start(withMount())
    const group = await open(lone, 'journal')
    await lone.elect()
    lone.gate.hold('sync')
    group.updateConfig(configOf('none'))
    await lone.quiet()
    expect(group.log.config.flush).toBe('journal')
    lone.gate.release()
    await lone.quiet()
    expect(group.log.config.flush).toBe('none')
    await group.append(batchOf(lone.runtime, 'a'), { acks: 'leader' })
    const next = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(next, await open(next, 'journal'))).toBe('forgotten')
  })

  test('to and fro keeps what was asked for last', async () => {
    const lone = await start(withMount())
    const group = await open(lone, 'journal')
    group.updateConfig(configOf('none'))
    group.updateConfig(configOf('journal'))
    await lone.quiet()
    expect(group.log.config.flush).toBe('journal')
    expect(group.spec.config.flush).toBe('journal')
    const next = await start(reboot(lone, 'boot-2'))
    expect(quarantineOf(next, await open(next, 'journal'))).toBe('none')
  })
})

test('nothing is acknowledged under a relaxed policy that is not in the page cache: the process may die any moment', async () => {
  const lone = await Lone.start()
  const group = await lone.open(1, 0, { config: { ...defaultLogConfig, flush: 'none' } })
  await lone.quiet()
  await expectAckBehind(lone, group, 'write')
})
