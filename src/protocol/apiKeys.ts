import { apiVersionsRequest, apiVersionsResponse } from './apis/apiVersions.ts'
import { fetchRequest, fetchResponse } from './apis/fetch.ts'
import { metadataRequest, metadataResponse } from './apis/metadata.ts'
import { produceRequest, produceResponse } from './apis/produce.ts'
import type { Message } from './schema.ts'

/** One API as this broker speaks it. The schemas may know more versions than `min` to `max`. */
export interface Api<Request extends Message = Message, Response extends Message = Message> {
  readonly key: number
  /** Lowest and highest version that the broker answers, both inclusive. */
  readonly min: number
  readonly max: number
  /** The lowest version that ApiVersions names; lower than `min` where clients misread the truth. */
  readonly advertisedMin: number
  /** The first flexible version (KIP-482). */
  readonly flexibleFrom: number
  readonly request: Request
  readonly response: Response
}

/** Any API of the table. */
export type AnyApi = Api

function api<Request extends Message, Response extends Message>(
  versions: { readonly min: number; readonly max: number; readonly advertisedMin?: number },
  request: Request,
  response: Response,
): Api<Request, Response> {
  const { min, max, advertisedMin = min } = versions
  return {
    key: request.apiKey!,
    min,
    max,
    advertisedMin,
    flexibleFrom: request.flexible.from,
    request,
    response,
  }
}

/**
 * The APIs that the broker implements, exactly as advertised: a client that is told of more closes or is closed.
 * Produce is advertised from 0 although 0 to 2 are refused, since librdkafka up to 2.11 looks at version 0 to
 * decide whether it may compress (KAFKA-18659).
 */
export const apiKeys = {
  produce: api({ min: 3, max: 11, advertisedMin: 0 }, produceRequest, produceResponse),
  fetch: api({ min: 4, max: 12 }, fetchRequest, fetchResponse),
  metadata: api({ min: 0, max: 12 }, metadataRequest, metadataResponse),
  apiVersions: api({ min: 0, max: 4 }, apiVersionsRequest, apiVersionsResponse),
} as const

/** The name of an implemented API. */
export type ApiName = keyof typeof apiKeys

const byKey = new Map<number, AnyApi>(Object.values(apiKeys).map((entry) => [entry.key, entry as AnyApi]))

/** The implemented API with this key, or null. */
export function apiByKey(key: number): AnyApi | null {
  return byKey.get(key) ?? null
}
