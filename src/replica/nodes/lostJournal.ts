import { EngineError } from '../../model/errors.ts'
import { zeroUuid } from '../../model/uuid.ts'
import { readTextIfThere } from '../../segment/checkpointFile.ts'
import { LogDirectory } from '../../segment/logDirectory.ts'
import { decodeMetaProperties, metaPropertiesFile } from '../../segment/metaProperties.ts'
import { orderNewBeginning } from '../../segment/newBeginning.ts'
import { PeerTransport } from '../peerTransport.ts'
import { EarlyRequests } from './earlyRequests.ts'
import type { NodeAddress } from './nodeAddress.ts'
import type { BaseOptions } from './nodeBase.ts'
import { CallKind, decodeAnswer, encodeCall, votersSaid } from './nodeCalls.ts'

/** How long another node has to answer, and how often is asked. */
const answerMs = 1000
const attempts = 5

/**
 * Opens the logs of a node. One whose journal is lost, with the votes in it, begins anew when a majority of the cluster answers without
 * it, and knows the cluster; else this rejects with `corruptLog` and what to do, as for a node that is alone.
 */
export async function openLogs(options: BaseOptions): Promise<LogDirectory> {
  const { runtime, logger, nodeId, clusterId, membership } = options
  const open = (): Promise<LogDirectory> =>
    LogDirectory.open(runtime, { ...options.logs, logger, nodeId, clusterId })
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'corruptLog') throw error
    if (membership.type === 'bootstrap') throw error
    const nodes = membership.type === 'static' ? membership.voters : membership.others
    const others = nodes.filter(({ id }) => id !== nodeId)
    if (others.length === 0 || (await isElsewhere(options))) throw error
    logger.error('the journal of this node is lost: it begins anew if others have the cluster', {
      error: error.message,
    })
    const needed = (others.length + 1) / 2
    if (!(await areThere(options, others, needed))) {
      const text = `${error.message}; or start most of the other nodes first: then this one begins anew by itself`
      throw new EngineError('corruptLog', text, { cause: error })
    }
    const reason = error.message
    await orderNewBeginning(runtime, options.logs.directory, { reason, clusterId, nodeId, others })
    return open()
  }
}

/** Whether the journal should be on a disk of its own where nothing is: that may only have to be mounted. */
async function isElsewhere({ runtime, logs: { journalDirectory } }: BaseOptions): Promise<boolean> {
  if (journalDirectory === undefined) return false
  if ((await runtime.disk.stat(journalDirectory)) === null) return true
  return (await runtime.disk.list(journalDirectory)).length === 0
}

/** Whether more than `needed` of the others answer that they know who votes in this cluster. */
async function areThere(
  { runtime, logger, nodeId, clusterId, listenerName, logs }: BaseOptions,
  others: readonly NodeAddress[],
  needed: number,
): Promise<boolean> {
  const text = await readTextIfThere(runtime.disk, `${logs.directory}/${metaPropertiesFile}`)
  const directoryId = (text === null ? null : decodeMetaProperties(text))?.directoryId ?? zeroUuid
  const hello = encodeCall({ kind: CallKind.hello, clusterId, nodeId, directoryId })
  const options = { nodeId, clusterId, logger, listenerName }
  const transport = new PeerTransport(runtime, options, new EarlyRequests())
  for (const { id, host, port } of others) transport.know(id, [{ name: listenerName, host, port }])
  const knows = async ({ id }: NodeAddress): Promise<boolean> => {
    try {
      return votersSaid(decodeAnswer(await transport.call(id, hello, answerMs)).payload).length > 0
    } catch {
      return false
    }
  }
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const answers = await Promise.all(others.map(knows))
      if (answers.filter((each) => each).length > needed) return true
      await new Promise<void>((resolve) => void runtime.clock.setTimer(answerMs, resolve))
    }
    return false
  } finally {
    await transport.close()
  }
}
