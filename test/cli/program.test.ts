import { expect, test } from 'vitest'
import { run } from './commandLine.ts'

test('--version prints the version of the package', async () => {
  const { exitCode, stdout } = await run(['--version'])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('every command has help with an example, on standard output', async () => {
  for (const command of [
    'serve',
    'cluster',
    'topics',
    'produce',
    'consume',
    'brokers',
    'partitions',
    'quorum',
    'reassign',
    'dump',
    'verify',
    'fuzz',
    'bench',
  ]) {
    const { exitCode, stdout, stderr } = await run([command, '--help'])
    expect(exitCode, command).toBe(0)
    expect(stderr, command).toBe('')
    expect(stdout, command).toContain(`Usage: cordwood ${command}`)
    expect(stdout, command).toContain(`$ cordwood ${command}`)
  }
})

test('without a command the overview is shown, as an error', async () => {
  const { exitCode, stdout, stderr } = await run([])
  expect(exitCode).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toContain('Usage: cordwood')
})

test('a wrong command line is one line that says what is wrong, with exit code 2', async () => {
  for (const [args, message] of [
    [['sreve'], "unknown command 'sreve' (Did you mean serve?)"],
    [['--nope'], "unknown option '--nope'"],
    [['topics', 'frobnicate'], "unknown command 'frobnicate'"],
    [['topics', 'list', '--nope'], "unknown option '--nope'"],
    [['serve', '--listen', 'nonsense:port'], 'HOST:PORT'],
    [
      ['serve', '--flush', 'sometimes'],
      'Allowed choices are none, interval, bytes, records, journal, batch, append',
    ],
    [['serve', '--set', 'no.such.setting=1'], 'no.such.setting'],
    [['serve', '--set', 'num.partitions=many'], 'num.partitions=many'],
    [['serve', '--config', '/no/such/file'], '/no/such/file'],
    [['produce'], "missing required argument 'topic'"],
    [['produce', 't', '--json', '--csv-key', '1'], '--json and --csv-key exclude each other'],
    [['consume', 't', '--from', 'soon'], '--from soon'],
    [['consume', 't', '--format', '%q'], '%q'],
    [['dump', '/no/such/file'], '/no/such/file'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(args)
    expect(stderr, args.join(' ')).toContain(message)
    expect(stderr, args.join(' ')).toMatch(/^cordwood: [^\n]+\n$/)
    expect(exitCode, args.join(' ')).toBe(2)
    expect(stdout, args.join(' ')).toBe('')
  }
})

test('what is wrong with the options of a subcommand names the help that describes them', async () => {
  for (const [args, message] of [
    [['bench', 'flush', '--logs', '0'], 'See "cordwood bench flush --help"'],
    [['topics', 'create'], 'See "cordwood topics create --help"'],
    [['quorum', 'add-voter', 'x'], "node 'x' is invalid. It must be a whole number"],
    [['topics', 'creat', 'x'], 'See "cordwood topics --help"'],
  ] as const) {
    const { exitCode, stderr } = await run(args)
    expect(stderr, args.join(' ')).toContain(message)
    expect(exitCode, args.join(' ')).toBe(2)
  }
})

test('a broker that does not answer is an operating error that names the flag', async () => {
  const { exitCode, stderr } = await run(['topics', 'list', '--bootstrap', '127.0.0.1:1'])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^cordwood: cannot reach a broker at 127\.0\.0\.1:1 .*--bootstrap right\?\n$/)
})
