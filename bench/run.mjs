// npm run bench                          every bench/*.bench.ts, compiled, one after the other
// npm run bench -- codec                 those whose name holds the word
// npm run bench -- --vs-kafka [options]  side by side with real Kafka; see bench/vs/options.mjs
// npm run bench -- --cluster [options]   three brokers beside three of Kafka's; see bench/vs/cluster.mjs
// npm run bench -- --durable [options]   what a synced answer costs beside one that is not; see bench/vs/durable.mjs
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const args = process.argv.slice(2)

if (
  args.includes('--vs-kafka') ||
  (args.includes('--help') && !args.includes('--durable') && !args.includes('--cluster'))
) {
  const { runVsKafka } = await import('./vs/vsKafka.mjs')
  process.exitCode = await runVsKafka(args.filter((arg) => arg !== '--vs-kafka'))
} else if (args.includes('--cluster')) {
  const { runCluster } = await import('./vs/cluster.mjs')
  process.exitCode = await runCluster(args.filter((arg) => arg !== '--cluster'))
} else if (args.includes('--durable')) {
  const { runDurable } = await import('./vs/durable.mjs')
  process.exitCode = await runDurable(args.filter((arg) => arg !== '--durable'))
} else {
  process.exitCode = await runMicro(args)
}

/**
 * Runs the micro-benchmarks. They are compiled next to a copy of the sources, since Node 20 does not run
 * TypeScript and a test runner's import wrappers would cost more than what is measured.
 */
async function runMicro(words) {
  const out = join(root, '.stamps/bench')
  mkdirSync(out, { recursive: true })
  try {
    symlinkSync(join(root, 'native'), join(out, 'native'))
  } catch {} // It is there.
  writeFileSync(join(out, 'package.json'), '{ "type": "module" }\n')
  const config = join(root, 'bench/tsconfig.json')
  const compiled = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', config],
    {
      stdio: 'inherit',
    },
  )
  if (compiled.status !== 0) return 1
  const files = readdirSync(join(root, 'bench'))
    .filter((name) => name.endsWith('.bench.ts') && words.every((word) => name.includes(word)))
    .sort()
  if (files.length === 0) {
    console.error(`bench: no bench/*.bench.ts matches ${words.join(' ')}`)
    return 1
  }
  let failed = 0
  for (const name of files) {
    console.log(`\n# ${name}\n`)
    const script = join(out, 'bench', name.replace(/\.ts$/, '.js'))
    const flags = ['--expose-gc', '--enable-source-maps']
    const child = spawn(process.execPath, [...flags, script], { stdio: ['ignore', 'inherit', 'inherit'] })
    // A benchmark removes what it made when it is told to end; what it started must not outlive this.
    let stopped = false
    const forward = (signal) => (stopped = child.kill(signal))
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, forward)
    const [code, endedBy] = await once(child, 'close')
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, forward)
    if (code === 0) continue
    console.error(`bench: ${name} failed (${endedBy ?? `code ${code}`})`)
    failed++
    if (stopped || endedBy !== null) break
  }
  return failed === 0 ? 0 : 1
}
