// npm run chaos: `--help` names the options.
// Brokers as real processes in network namespaces, on disks whose power can be cut, with kafkajs and Java as clients. Needs root.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { register } from 'node:module'
import '../test/chaos/options.mjs'

const tools = [
  { command: 'ip', package: 'iproute2', probe: ['-V'] },
  { command: 'nft', package: 'nftables', probe: ['-v'] },
  { command: 'iptables', package: 'iptables', probe: ['-V'] },
  { command: 'tc', package: 'iproute2', probe: ['-V'] },
  { command: 'faketime', package: 'faketime', probe: ['--version'] },
  { command: 'mkfs.ext4', package: 'e2fsprogs', probe: ['-V'] },
  { command: 'python3', package: 'python3', probe: ['--version'] },
]

if (process.getuid?.() !== 0) {
  console.error('chaos makes network namespaces and mounts disks: run it as root, in a container for example')
  process.exit(2)
}
const missing = tools.filter(({ command, probe }) => spawnSync(command, probe, { stdio: 'ignore' }).error)
if (missing.length > 0) {
  const packages = [...new Set(missing.map((tool) => tool.package))]
  console.log(`installing ${packages.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore', env })
  const { status } = spawnSync('apt-get', ['install', '-y', '-q', ...packages], { stdio: 'ignore', env })
  if (status !== 0) {
    console.error(`chaos needs ${packages.join(', ')}, which could not be installed`)
    process.exit(2)
  }
}
await import('./setup.mjs')
const { status } = spawnSync(process.execPath, [new URL('interop-setup.mjs', import.meta.url).pathname], {
  stdio: 'inherit',
})
if (status !== 0 || !existsSync(new URL('../dist/cli/main.js', import.meta.url))) process.exit(2)
register('../test/support/typescriptHooks.mjs', import.meta.url)
await import('../test/chaos/main.ts')
