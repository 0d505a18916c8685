import { EngineError } from '../model/errors.ts'
import { randomUuid, type Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'

/** Name of the file that says whose a data directory is. */
export const metaPropertiesFile = 'meta.properties'
/** Kafka's, since there is no ZooKeeper. */
const knownVersion = '1'

/** Whose data directory this is. */
export interface MetaProperties {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: Uuid
}

/**
 * Reads `meta.properties`, or makes it in a directory that has none. `clusterId` null takes what is there, or a
 * new one. Throws `directoryForeign` when the directory is of another cluster or node, or the file is not
 * readable as what it should be.
 */
export async function openMetaProperties(
  runtime: Runtime,
  directory: string,
  nodeId: number,
  clusterId: string | null,
): Promise<MetaProperties> {
  const path = `${directory}/${metaPropertiesFile}`
  const text = await readTextIfThere(runtime.disk, path)
  if (text === null) {
    const made = {
      clusterId: clusterId ?? randomUuid(runtime.random),
      nodeId,
      directoryId: randomUuid(runtime.random),
    }
    await runtime.disk.replaceFile(path, Buffer.from(encodeMetaProperties(made)))
    return made
  }
  const found = decodeMetaProperties(text)
  if (found === null) {
    const version = valuesOf(text).get('version') ?? ''
    const isOther = /^\d+$/.test(version) && version !== knownVersion
    throw new EngineError(
      'directoryForeign',
      isOther
        ? `${directory} has version ${version}, this release knows ${knownVersion}; use the release that wrote it, or another directory`
        : `${path} is damaged; restore it, or use another directory`,
    )
  }
  if (clusterId !== null && found.clusterId !== clusterId) {
    throw new EngineError(
      'directoryForeign',
      `${directory} belongs to cluster ${found.clusterId}, not ${clusterId}; use another directory or that cluster id`,
    )
  }
  if (found.nodeId !== nodeId) {
    const owner = found.nodeId === 0 ? 'node 0, or to openEngine' : `node ${found.nodeId}`
    throw new EngineError(
      'directoryForeign',
      `${directory} belongs to ${owner}, not to node ${nodeId}; use another directory or that node id`,
    )
  }
  if (found.directoryId !== '') return { ...found, directoryId: found.directoryId }
  const completed = { ...found, directoryId: randomUuid(runtime.random) }
  await runtime.disk.replaceFile(path, Buffer.from(encodeMetaProperties(completed)))
  return completed
}

/** The text of the file. */
export function encodeMetaProperties({ clusterId, nodeId, directoryId }: MetaProperties): string {
  const lines = [
    '#',
    `cluster.id=${clusterId}`,
    `directory.id=${directoryId}`,
    `node.id=${nodeId}`,
    `version=${knownVersion}`,
    '',
  ]
  return lines.join('\n')
}

/** Reads the text of the file; null when it is not one. `directoryId` is empty where an older Kafka wrote none. */
export function decodeMetaProperties(text: string): MetaProperties | null {
  const values = valuesOf(text)
  const clusterId = values.get('cluster.id')
  const nodeId = values.get('node.id')
  const isKnown = values.get('version') === knownVersion
  if (!isKnown || !clusterId || nodeId === undefined || !/^\d{1,10}$/.test(nodeId)) return null
  const directoryId = values.get('directory.id') ?? ''
  if (directoryId !== '' && !/^[A-Za-z0-9_-]{22}$/.test(directoryId)) return null
  return { clusterId, nodeId: Number(nodeId), directoryId }
}

function valuesOf(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([^#!=\s]+)\s*=\s*(.*?)\s*$/.exec(line)
    if (match !== null) values.set(match[1]!, match[2]!)
  }
  return values
}
