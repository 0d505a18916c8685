import { spawnSync } from 'node:child_process'

/** What the tests run, the Debian package that has it, and how to see that it is there. */
const tools = [
  { command: 'strace', package: 'strace', probe: ['-V'] },
  { command: 'mkfs.ext4', package: 'e2fsprogs', probe: ['-V'] },
  { command: 'mount', package: 'mount', probe: ['--version'] },
  { command: 'python3', package: 'python3', probe: ['--version'] },
  { command: 'ip', package: 'iproute2', probe: ['-V'] },
  { command: 'nft', package: 'nftables', probe: ['-v'] },
  { command: 'tc', package: 'iproute2', probe: ['-V'] },
  { command: 'kcat', package: 'kcat', probe: ['-V'] },
] as const

/** Installs what is missing; without root or a tool the run fails and says why. */
export function setup(): void {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'these tests mount file systems and trace processes: run them as root, in a container for example',
    )
  }
  const missing = tools.filter(({ command, probe }) => spawnSync(command, probe, { stdio: 'ignore' }).error)
  if (missing.length === 0) return
  const packages = missing.map((tool) => tool.package)
  console.log(`installing ${packages.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore', env })
  const { status } = spawnSync('apt-get', ['install', '-y', '-q', ...packages], { stdio: 'inherit', env })
  if (status !== 0) throw new Error(`the tests need ${packages.join(', ')}, which could not be installed`)
}
