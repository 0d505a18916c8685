import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { TestDisk } from '../faults/support/disks.ts'
import { throttleGroup, throttles } from './leftovers.ts'
import type { Network } from './network.ts'

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
/** A node may take so long to end in order, also where other work has the processors. */
const endMs = 60_000
/** Takes the whole journal and what a run of minutes writes. */
const diskMib = 1024

/** What a broker is started with. */
export interface NodePlace {
  readonly id: number
  /** Ids of all nodes of the cluster. */
  readonly ids: readonly number[]
  readonly network: Network
  /** Where output and clocks are kept. */
  readonly directory: string
  /** The library that fakes clocks; null for a node whose clock is right. */
  readonly fakeClock: string | null
}

/** One broker: a process in a network namespace of its own, on a disk of its own. */
export class ChaosNode {
  readonly id: number
  readonly name: string
  readonly #place: NodePlace
  readonly #disk: TestDisk
  readonly #clockFile: string
  #child: ChildProcess | null = null
  #gone: Promise<unknown> = Promise.resolve()
  /** How it ended otherwise than it was meant to, since `takeOddEnd` was asked last; null when it did not. */
  #oddEnd: string | null = null
  #isWanted = false

  constructor(place: NodePlace) {
    this.id = place.id
    this.name = `n${place.id}`
    this.#place = place
    this.#disk = TestDisk.ext4(diskMib)
    this.#clockFile = join(place.directory, `${this.name}.clock`)
    writeFileSync(this.#clockFile, '+0')
  }

  get isRunning(): boolean {
    return this.#child !== null
  }

  /** The process that serves; 0 while there is none. */
  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** The data directory. */
  get data(): string {
    return join(this.#disk.path, 'data')
  }

  /** Starts it; whether it serves, clients will tell. */
  start(): void {
    const { network, ids, directory, fakeClock } = this.#place
    const address = network.address(this.name)
    const settings = {
      'node.id': `${this.id}`,
      'process.roles': 'broker,controller',
      // Each in its own: consumers can ask for the copy of a certain node.
      'broker.rack': this.name,
      listeners: `PLAINTEXT://${address}:9092,CONTROLLER://${address}:9093`,
      'controller.listener.names': 'CONTROLLER',
      'controller.quorum.voters': ids.map((id) => `${id}@${network.address(`n${id}`)}:9093`).join(','),
      'log.dirs': this.data,
      'cordwood.journal.bytes': `${64 << 20}`,
      'default.replication.factor': '3',
      'min.insync.replicas': '2',
      'group.initial.rebalance.delay.ms': '0',
      // Many sealed segments, checked quickly.
      'log.segment.bytes': '32768',
      'cordwood.scrub.bytes.per.second': `${64 << 20}`,
    }
    const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
    // The namespace is entered by a shell that becomes the broker, so that signals reach it.
    const command = network.command(this.name, [process.execPath, main, 'serve', ...set])
    const env = {
      ...process.env,
      UV_USE_IO_URING: '0',
      ...(fakeClock === null ? {} : this.#faked(fakeClock)),
    }
    mkdirSync(directory, { recursive: true })
    const file = openSync(join(directory, `${this.name}.log`), 'a')
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', file, file], env })
    closeSync(file)
    this.#child = child
    this.#isWanted = true
    this.#gone = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        if (this.#child === child) this.#child = null
        if (this.#isWanted) this.#oddEnd = `has ended by itself (${signal ?? `code ${code}`})`
        else if ((code ?? 0) !== 0) this.#oddEnd = `was told to end and did so with code ${code}`
        resolve(null)
      }),
    )
  }

  /** How it ended otherwise than it was meant to, since this was asked last; null when it did not. */
  takeOddEnd(): string | null {
    const end = this.#oddEnd
    this.#oddEnd = null
    return end
  }

  /** The last lines that it wrote. */
  lastWords(lines: number): string {
    const path = join(this.#place.directory, `${this.name}.log`)
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : ''
  }

  /** Ends the process; resolves once it is gone. What does not go in order within a minute is killed. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#isWanted = false
    this.#child?.kill(signal)
    const timer = setTimeout(() => {
      this.#oddEnd = `was still there ${endMs} ms after ${signal}`
      this.#child?.kill('SIGKILL')
    }, endMs)
    await this.#gone
    clearTimeout(timer)
  }

  /** Stops the process, or lets it go on. */
  pause(isPaused: boolean): void {
    this.#child?.kill(isPaused ? 'SIGSTOP' : 'SIGCONT')
  }

  /** Takes the power: what was not synced is gone. The node is down until `start`. */
  async cutPower(): Promise<void> {
    // Without power nothing runs on, while syncs that a dying file system ends would be taken for done.
    this.pause(true)
    this.#disk.cutPower()
    await this.end('SIGKILL')
    this.#disk.unmount()
    this.#disk.mount()
  }

  /** Removes everything that is on the disk of a node that has ended. */
  emptyDisk(): void {
    rmSync(this.data, { recursive: true, force: true })
  }

  /** Keeps what is on the disk of a node that has ended, for `restoreDisk`. */
  copyDisk(): void {
    rmSync(this.#copy, { recursive: true, force: true })
    // Sockets, too, which Node does not copy.
    const { status, stderr } = spawnSync('cp', ['-a', this.data, this.#copy], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`cp failed: ${stderr}`)
  }

  /** Keeps what is on the disk now, in use or not, beside what the node has said. */
  keepDisk(): void {
    const kept = join(this.#place.directory, `${this.name}.data`)
    spawnSync('cp', ['-a', '--sparse=always', this.data, kept])
  }

  /** Puts back what `copyDisk` has kept. */
  restoreDisk(): void {
    this.emptyDisk()
    renameSync(this.#copy, this.data)
    // A disk has what it had: a power cut later on does not take it.
    const { status, stderr } = spawnSync('sync', ['-f', this.#disk.path], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`sync failed: ${stderr}`)
  }

  /** Lets the disk take so many bytes a second; null takes that back. Only what has been started since. */
  throttle(bytesPerSecond: number | null): void {
    const group = this.#throttleGroup
    const device = statSync(this.#disk.path).dev
    const number = `${(device >> 8) & 0xfff}:${device & 0xff}`
    mkdirSync(group, { recursive: true })
    writeFileSync(join(group, 'blkio.throttle.write_bps_device'), `${number} ${bytesPerSecond ?? 0}`)
    if (this.pid !== 0)
      writeFileSync(join(bytesPerSecond === null ? throttles : group, 'cgroup.procs'), `${this.pid}`)
  }

  /** Leaves no room on the disk, under a broker that may run. */
  fillDisk(): void {
    // It ends when nothing fits any more.
    spawnSync('dd', ['if=/dev/zero', `of=${this.#filler}`, 'bs=1M'], { stdio: 'ignore' })
  }

  /** Gives the room back. */
  freeDisk(): void {
    rmSync(this.#filler, { force: true })
  }

  /** Makes the wall clock of the node this many seconds wrong; needs a fake clock. */
  moveClock(seconds: number): void {
    writeFileSync(this.#clockFile, `${seconds < 0 ? '' : '+'}${seconds}`)
  }

  /** Removes disk and files, after `end`. */
  remove(): void {
    this.#disk.remove()
    const group = this.#throttleGroup
    if (existsSync(group)) rmdirSync(group)
  }

  get #copy(): string {
    return join(this.#disk.path, 'copy')
  }

  get #filler(): string {
    return join(this.#disk.path, 'filler')
  }

  get #throttleGroup(): string {
    return throttleGroup(this.#place.directory, this.name)
  }

  #faked(library: string): Record<string, string> {
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }
}
