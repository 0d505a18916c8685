import { dirname, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { EngineError } from '../model/errors.ts'
import type { Disk } from '../runtime/disk.ts'
import { lockDirectory } from '../segment/lockOwner.ts'
import { type VerifyProgress, type VerifySummary, verifyDirectory } from '../segment/verifyDirectory.ts'
import { type Finding, findingKinds } from '../segment/verifyFindings.ts'
import { directoryPlace } from '../segment/verifyPlace.ts'
import { createRuntime } from '../zerocopy/nativeRuntime.ts'
import { ExitCode, ExitWith, UsageError } from './failure.ts'
import { ProgressBar } from './progressBar.ts'
import type { Terminal } from './terminal.ts'
import { bytesText, durationText } from './units.ts'

interface VerifyOptions {
  readonly json?: true
  readonly lock: boolean
  readonly quiet?: true
}

const examples = `
Examples:
  $ cordwood verify cordwood-data                    every checksum and index; nothing is changed
  $ cordwood verify --no-lock cordwood-data          beside a running broker
  $ cordwood verify --json cordwood-data | jq .      one JSON object a line, the summary last

Checks batches (checksum, offsets, leader epochs), offset, time and transaction indexes against the batches, producer
snapshots, checkpoints and identity files. Each line names the file, the byte, the offsets, and what to do:
  damage      stored records are not there any more, or not as they were
  derivable   a file is wrong that can be made again from the batches
  unchecked   this user may not read it
  note        as it should be, but worth knowing
Takes the directory's lock, as a broker does. With --no-lock the ends of the segments that are being written to, and
files that go away meanwhile, are not judged. Exit code 1 when there is damage, something derivable is wrong or something
could not be checked, 2 for what is no data directory.`

/** `verify`: whether a data directory is intact. */
export function defineVerify(command: Command, terminal: Terminal): void {
  command
    .argument('<directory>', 'data directory')
    .option('--json', 'one JSON object a line')
    .option('-q, --quiet', 'no notes')
    .addOption(new Option('--no-lock', 'check a directory that is in use'))
    .addHelpText('after', examples)
    .action((directory: string, options: VerifyOptions) => verify(directory, options, terminal))
}

async function verify(directory: string, options: VerifyOptions, terminal: Terminal): Promise<void> {
  const runtime = createRuntime({})
  const { clock, disk } = runtime
  const signal = terminal.interruptible()
  // Before the lock: it would leave its file in a directory that is none of ours.
  await checkPlace(disk, directory)
  const lock = options.lock ? await lockOrExplain(directory, () => lockDirectory(runtime, directory)) : null
  const bar = new ProgressBar(terminal, clock)
  const startedMs = clock.monotonicMs()
  try {
    const summary = await verifyDirectory(runtime, directory, {
      judgeTails: lock !== null,
      signal,
      finding: (finding) => {
        if (options.quiet && findingKinds[finding.kind].severity === 'note') return
        void terminal.write(options.json ? jsonLine(finding) : textLine(finding))
      },
      progress: ({ doneBytes, totalBytes, doneLogs, totalLogs }: VerifyProgress) => {
        const share = totalBytes === 0 ? doneLogs / Math.max(totalLogs, 1) : doneBytes / totalBytes
        bar.show(share, doneBytes, `log ${doneLogs} of ${totalLogs}`)
      },
    })
    bar.clear()
    const seconds = (clock.monotonicMs() - startedMs) / 1000
    await terminal.write(
      options.json
        ? `${JSON.stringify({ type: 'summary', directory, seconds, ...summary })}\n`
        : summaryLine(directory, summary, seconds),
    )
    const { damage, derivable, unchecked } = summary.findings
    if (damage + derivable + unchecked > 0) throw new ExitWith(ExitCode.failure)
  } catch (error) {
    bar.clear()
    if (!signal.aborted) throw error
    terminal.note('cordwood: interrupted; what was not checked is unknown')
    throw new ExitWith(ExitCode.interrupted)
  } finally {
    await runtime.compute.close()
    await lock?.release()
    await disk.close()
  }
}

/** Throws `UsageError` unless it is a data directory. */
async function checkPlace(disk: Disk, directory: string): Promise<void> {
  const stat = await disk.stat(directory)
  if (stat === null || stat.kind !== 'directory') throw new UsageError(`there is no directory ${directory}`)
  const place = await directoryPlace(disk, directory)
  if (place === 'data') return
  const what = `${directory} is no data directory of cordwood`
  if (place === 'other') throw new UsageError(`${what}: it has neither a meta.properties nor a log`)
  throw new UsageError(`${what} but the directory of one log; verify ${dirname(resolve(directory))}`)
}

/** What `take` gives. Throws what to do when `directory` cannot be locked. */
export async function lockOrExplain<T>(directory: string, take: () => Promise<T>): Promise<T> {
  try {
    return await take()
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    const { code, message } = error
    if (code === 'directoryLocked') {
      throw new EngineError(code, `${message}; stop it, or use --no-lock to check what is sealed`)
    }
    if (code !== 'permissionDenied') throw error
    const instead = 'run it as the owner of the files, or use --no-lock to check what is sealed'
    throw new EngineError(
      code,
      `${directory} cannot be locked, since this user may not write there; ${instead}`,
    )
  }
}

function textLine(finding: Finding): string {
  const { severity, advice } = findingKinds[finding.kind]
  const where = [finding.file]
  if (finding.position !== null) where.push(` at byte ${finding.position}`)
  if (finding.end !== null && finding.position !== null && finding.end > finding.position) {
    where.push(` (${bytesText(finding.end - finding.position)})`)
  }
  if (finding.baseOffset !== null && finding.nextOffset !== null) {
    const last = Math.max(finding.nextOffset - 1, finding.baseOffset)
    where.push(
      last === finding.baseOffset ? `, offset ${last}` : `, offsets ${finding.baseOffset} to ${last}`,
    )
  }
  return `${severity.padEnd(9)} ${where.join('')}: expected ${finding.expected}, found ${finding.found}. ${advice[0]!.toUpperCase()}${advice.slice(1)}.\n`
}

function jsonLine(finding: Finding): string {
  const { severity, advice } = findingKinds[finding.kind]
  const { kind, file, position, end, baseOffset, nextOffset, expected, found } = finding
  const lastOffset = nextOffset === null ? null : nextOffset - 1
  return `${JSON.stringify({ type: 'finding', severity, kind, file, position, end, baseOffset, lastOffset, expected, found, advice })}\n`
}

function summaryLine(directory: string, summary: VerifySummary, seconds: number): string {
  const { damage, derivable, unchecked, note } = summary.findings
  const state =
    damage > 0
      ? `${directory} is damaged`
      : unchecked > 0
        ? `${directory} could not be checked in full`
        : derivable > 0
          ? `${directory}: every record is there, but files are wrong that are derived from them`
          : `${directory} is intact`
  const counts = [count(damage, 'damage', 'damages'), count(derivable, 'derivable file', 'derivable files')]
  if (unchecked > 0) counts.push(`${unchecked.toLocaleString('en-US')} not checked`)
  const found = [...counts, count(note, 'note', 'notes')].filter((text) => !text.startsWith('0 '))
  const rate = seconds > 0 ? `, ${bytesText(summary.bytes / seconds)}/s` : ''
  const looked = [
    count(summary.logs, 'log', 'logs'),
    count(summary.segments, 'segment', 'segments'),
    count(summary.batches, 'batch', 'batches'),
    bytesText(summary.bytes),
  ].join(', ')
  const findings = found.length === 0 ? '' : `; ${found.join(', ')}`
  return `${state}: ${looked} in ${durationText(seconds)}${rate}${findings}.\n`
}

function count(value: number, one: string, many: string): string {
  return `${value.toLocaleString('en-US')} ${value === 1 ? one : many}`
}
