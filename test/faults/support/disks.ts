import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isLeftBehind, noteMaker } from './maker.ts'

const prefix = 'cordwood-disk-'

const open = new Set<TestDisk>()

process.once('exit', removeDisks)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    removeDisks()
    process.exit(1)
  })
}

/** Unmounts and removes every disk that a test has left behind. */
export function removeDisks(): void {
  for (const disk of [...open]) disk.remove()
}

/** Unmounts and removes every disk whose maker lives no longer, whoever uses it; returns their names. */
export function sweepDisks(): readonly string[] {
  const left = readdirSync(tmpdir()).filter(
    (name) => name.startsWith(prefix) && isLeftBehind(join(tmpdir(), name)),
  )
  for (const name of left) removeBase(join(tmpdir(), name))
  return left
}

/** A file system of its own under a temporary directory. */
export class TestDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #base: string
  readonly #source: readonly string[]

  private constructor(base: string, source: readonly string[]) {
    this.#base = base
    this.path = mountPoint(base)
    this.#source = source
    mkdirSync(this.path)
    open.add(this)
    this.mount()
  }

  /** An ext4 file system in a file, whose power can be cut. */
  static ext4(sizeMib: number): TestDisk {
    const base = newBase()
    const image = join(base, 'image')
    writeFileSync(image, '')
    truncateSync(image, sizeMib * 1024 * 1024)
    run('mkfs.ext4', ['-q', '-F', image])
    return new TestDisk(base, ['-o', 'loop', image])
  }

  /** Memory that is full at `sizeMib`. */
  static tmpfs(sizeMib: number): TestDisk {
    const base = newBase()
    return new TestDisk(base, ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs'])
  }

  mount(): void {
    run('mount', [...this.#source, this.path])
  }

  unmount(): void {
    run('umount', [this.path])
  }

  /** What has not been synced is gone, and every later call fails, until `unmount` and `mount`. Only for ext4. */
  cutPower(): void {
    // EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_NOLOGFLUSH.
    const program =
      'import fcntl,os,struct,sys;fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587D,struct.pack("I",2))'
    run('python3', ['-c', program, this.path])
  }

  /** Unmounts it and removes its files, whatever state it is in. */
  remove(): void {
    if (open.delete(this)) removeBase(this.#base)
  }
}

function newBase(): string {
  const base = mkdtempSync(join(tmpdir(), prefix))
  noteMaker(base)
  return base
}

function mountPoint(base: string): string {
  return join(base, 'mounted')
}

/** Loop devices go with the mount. */
function removeBase(base: string): void {
  const path = mountPoint(base)
  const { status } = spawnSync('umount', [path], { stdio: 'ignore' })
  if (status !== 0) spawnSync('umount', ['-l', path], { stdio: 'ignore' })
  rmSync(base, { recursive: true, force: true })
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`)
}
