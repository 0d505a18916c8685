import { fork } from 'node:child_process'
import type { SeedReport } from './seedReport.ts'

/** What a shard is told on its command line: which one it is, and of how many. */
export const shardOption = '--shard'

/** Hands the reports of a shard to the process that has started it. */
export function sendReport(report: SeedReport): Promise<void> {
  return new Promise((resolve) => process.send!(report, () => resolve()))
}

/**
 * Runs this command in `shards` processes, each with every `shards`th seed, until `isEnough` says so after a report, or all
 * have ended. Rejects when one of them dies.
 */
export function runShards(
  shards: number,
  signal: AbortSignal,
  report: (report: SeedReport) => void,
  isEnough: () => boolean,
): Promise<void> {
  const children = Array.from({ length: shards }, (_, shard) =>
    fork(process.argv[1]!, [...process.argv.slice(2), shardOption, `${shard}/${shards}`], {
      // What a run makes lives for moments: with room for it, little of it is ever looked at by the collector.
      execArgv: [...process.execArgv, '--max-semi-space-size=32'],
    }),
  )
  let isOver = false
  const end = (): void => {
    isOver = true
    for (const child of children) if (child.exitCode === null) child.kill()
  }
  signal.addEventListener('abort', end, { once: true })
  return Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve, reject) => {
          child.on('message', (message) => {
            if (isOver) return
            report(message as SeedReport)
            if (isEnough()) end()
          })
          child.on('error', reject)
          child.on('exit', (code, killedBy) => {
            if (code === 0 || isOver) resolve()
            else reject(new Error(`a process of the run ended with ${code ?? killedBy}`))
          })
        }),
    ),
  )
    .then(() => {})
    .finally(() => {
      signal.removeEventListener('abort', end)
      end()
    })
}
