import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { dumpOffsetIndex, dumpSnapshot, dumpText, dumpTimeIndex, dumpTxnIndex } from './dumpFiles.ts'
import { dumpLog } from './dumpLog.ts'
import { DumpReport } from './dumpReport.ts'
import { ExitCode, ExitWith, UsageError } from './failure.ts'
import type { Terminal } from './terminal.ts'

interface DumpOptions {
  readonly records?: true
  readonly summary?: true
  readonly json?: true
}

const examples = `
Examples:
  $ cordwood dump cordwood-data/orders-0/00000000000000000000.log
  $ cordwood dump --records --json cordwood-data/orders-0/00000000000000000000.log
  $ cordwood dump --summary cordwood-data/*            every file: is it intact?

Reads segments (.log), indexes (.index, .timeindex, .txnindex), producer snapshots (.snapshot), checkpoints,
partition.metadata and meta.properties, of cordwood and of Kafka; a directory stands for such files in it. A
running broker may be writing: the end of an open segment can then look cut off. Exit code 1 when anything is
damaged; each damage says at which byte of which file.`

/** `dump`: what is in files of a data directory. */
export function defineDump(command: Command, terminal: Terminal): void {
  command
    .argument('<file...>', 'files, or directories of partitions')
    .option('-r, --records', 'also the records of each batch, decompressed')
    .option('-s, --summary', 'only one line for each file, and damage')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', examples)
    .action((paths: string[], options: DumpOptions) => dump(paths, options, terminal))
}

const known =
  'dump reads .log, .index, .timeindex, .txnindex and .snapshot files, checkpoints, partition.metadata and meta.properties'

async function dump(paths: readonly string[], options: DumpOptions, terminal: Terminal): Promise<void> {
  const report = new DumpReport(terminal, {
    json: options.json === true,
    summaryOnly: options.summary === true,
  })
  const files = paths.flatMap((path) => filesOf(path))
  let damagedFiles = 0
  let dumpedFiles = 0
  for (const file of files) {
    const kind = kindOf(file)
    if (kind === null) {
      terminal.note(`cordwood: left out ${file}: ${known}`)
      continue
    }
    const before = report.damages
    report.begin(file)
    dumpedFiles += 1
    await dumpFile(file, kind, report, options.records === true)
    if (report.damages > before) damagedFiles += 1
  }
  await report.flush()
  if (dumpedFiles === 0) throw new UsageError(`there is nothing to show: ${known}`)
  if (damagedFiles === 0) return
  terminal.note(
    `cordwood: damage in ${damagedFiles} of ${dumpedFiles} file${dumpedFiles === 1 ? '' : 's'}; see the lines that begin with "damage"`,
  )
  throw new ExitWith(ExitCode.failure)
}

async function dumpFile(path: string, kind: Kind, report: DumpReport, records: boolean): Promise<void> {
  switch (kind) {
    case 'log':
      return dumpLog(path, report, nodeChecksum, records)
    case 'index':
      return dumpOffsetIndex(path, report)
    case 'timeindex':
      return dumpTimeIndex(path, report)
    case 'txnindex':
      return dumpTxnIndex(path, report)
    case 'snapshot':
      return dumpSnapshot(path, report, nodeChecksum)
    case 'text':
      return dumpText(path, report)
  }
}

type Kind = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot' | 'text'

function kindOf(path: string): Kind | null {
  const name = basename(path).replace(/\.(deleted|cleaned|swap)$/, '')
  const suffix = /\.(log|index|timeindex|txnindex|snapshot)$/.exec(name)?.[1]
  if (suffix !== undefined) return suffix as Kind
  if (name.endsWith('.checkpoint')) return 'log' // A snapshot of the metadata log is made of batches.
  return name.endsWith('-checkpoint') || name === 'partition.metadata' || name === 'meta.properties'
    ? 'text'
    : null
}

/** The files that `path` stands for: itself, or for a directory those in it that can be read. */
function filesOf(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path)
      .filter((name) => kindOf(name) !== null)
      .sort()
      .map((name) => join(path, name))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(code === 'ENOENT' ? `there is no file ${path}` : `cannot read ${path}: ${message}`)
  }
}
