import { readdirSync } from 'node:fs'
import type { Message } from '../../src/protocol/schema.ts'

const folders = ['apis', 'metadataRecords', 'coordinatorRecords', 'files']
const root = new URL('../../src/protocol/', import.meta.url)

/** Every message of the protocol folders by its name in lower case, such as `fetchrequest`. */
export async function allSchemas(): Promise<ReadonlyMap<string, Message>> {
  const schemas = new Map<string, Message>()
  for (const folder of folders) {
    for (const file of readdirSync(new URL(folder, root))) {
      const module: Record<string, unknown> = await import(new URL(`${folder}/${file}`, root).href)
      for (const [name, value] of Object.entries(module)) {
        if (isMessage(value)) schemas.set(name.toLowerCase(), value)
      }
    }
  }
  return schemas
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'valid' in value && 'flexible' in value
}
