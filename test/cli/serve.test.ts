import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { type RunningCommand, run, start } from './commandLine.ts'

const quiet = ['--log-level', 'error']

/** Starts a broker on a free port and resolves with it and its address once it is ready. */
async function serve(
  directory: string,
  ...more: readonly string[]
): Promise<{ broker: RunningCommand; address: string }> {
  const broker = start(['serve', '--listen', '127.0.0.1:0', '--directory', directory, ...quiet, ...more])
  await Promise.race([
    broker.printed('ready'),
    broker.done.then(({ stderr }) => Promise.reject(new Error(stderr))),
  ])
  return { broker, address: / on (\S+) after/.exec(broker.stdout())![1]! }
}

test('serve says in one line where it listens and how it stores, and stops in order when interrupted', async () => {
  const directory = temporaryDirectory()
  const { broker, address } = await serve(directory, '--flush', 'none')
  expect(broker.stdout()).toMatch(
    /^cordwood is ready on 127\.0\.0\.1:\d+ after \d+ ms: directory \S+, flush none, (native|portable)\n$/,
  )
  expect((await run(['produce', 't', '--quiet', '--bootstrap', address], 'kept\n')).exitCode).toBe(0)
  broker.interrupt()
  expect(await broker.done).toMatchObject({ exitCode: 0, stderr: '' })

  const again = await serve(directory)
  expect((await run(['consume', 't', '--bootstrap', again.address])).stdout).toBe('kept\n')
  again.broker.interrupt()
  await again.broker.done
})

test('a setting of the file is overridden by --set, and that by a flag', async () => {
  const directory = temporaryDirectory()
  const file = join(directory, 'server.properties')
  writeFileSync(file, 'num.partitions=2\ndefault.replication.factor=1\ncordwood.flush.policy=none\n')
  const flags = [
    '--config',
    file,
    '--set',
    'num.partitions=3',
    '--set',
    'cordwood.flush.policy=none',
    '--flush',
    'batch',
  ]
  const { broker, address } = await serve(join(directory, 'data'), ...flags)
  expect(broker.stdout()).toContain('flush batch')
  await run(['topics', 'create', 't', '--bootstrap', address])
  expect((await run(['topics', 'list', '--json', '--bootstrap', address])).stdout).toContain('"partitions":3')
  broker.interrupt()
  await broker.done
})

test('the journal may be elsewhere, and is missed when it is not named again', async () => {
  const directory = join(temporaryDirectory(), 'data')
  const journal = join(temporaryDirectory(), 'journal')
  const { broker, address } = await serve(
    directory,
    '--journal-directory',
    journal,
    '--journal-size',
    '64MiB',
  )
  expect((await run(['produce', 't', '--quiet', '--bootstrap', address], 'kept\n')).exitCode).toBe(0)
  broker.interrupt()
  await broker.done
  expect(readdirSync(journal)).toContain('checkpoint-0')
  expect(readdirSync(directory)).not.toContain('.journal')
  const elsewhere = await run(['serve', '--listen', '127.0.0.1:0', '--directory', directory])
  expect([elsewhere.exitCode, elsewhere.stderr]).toEqual([
    1,
    expect.stringContaining(`is in ${journal}, not in`),
  ])
  const again = await serve(directory, '--journal-directory', journal)
  expect((await run(['consume', 't', '--bootstrap', again.address])).stdout).toBe('kept\n')
  again.broker.interrupt()
  await again.broker.done
})

test('a broker that cannot start says in one line what to do', async () => {
  const directory = temporaryDirectory()
  const data = join(directory, 'data')
  const { broker, address } = await serve(data)
  const file = join(directory, 'file')
  writeFileSync(file, '')
  mkdirSync(join(directory, 'other'))
  for (const [flags, message] of [
    [['--listen', address, '--directory', join(directory, 'other')], 'choose another port with --listen'],
    [['--listen', '127.0.0.1:0', '--directory', data], 'stop that process, or choose another --directory'],
    [['--listen', '127.0.0.1:0', '--directory', file], 'choose another --directory'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(['serve', ...flags, ...quiet])
    expect(stderr, message).toMatch(/^cordwood: [^\n]+\n$/)
    expect(stderr).toContain(message)
    expect([exitCode, stdout], message).toEqual([1, ''])
  }
  broker.interrupt()
  await broker.done
  const foreign = await run([
    'serve',
    '--directory',
    data,
    '--set',
    'cordwood.cluster.id=MkU3OEVBNTcwNTJENDM2Qg',
    ...quiet,
  ])
  expect(foreign).toMatchObject({ exitCode: 1, stdout: '' })
  expect(foreign.stderr).toContain('belongs to cluster')
})

test('a broker that is to stop with its standard input does so in order when that ends', async () => {
  let end: () => void = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const input = (async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('ignored')
    await ended
  })()
  const flags = ['--listen', '127.0.0.1:0', '--directory', temporaryDirectory(), '--until-stdin-ends']
  const broker = start(['serve', ...flags, ...quiet], input)
  await broker.printed('ready')
  end()
  expect(await broker.done).toMatchObject({ exitCode: 0, stderr: '' })
})
