import { apiKeys } from './apiKeys.ts'
import { addOffsetsToTxnRequest, addOffsetsToTxnResponse } from './apis/addOffsetsToTxn.ts'
import { addPartitionsToTxnRequest, addPartitionsToTxnResponse } from './apis/addPartitionsToTxn.ts'
import { createAclsRequest, createAclsResponse } from './apis/createAcls.ts'
import { deleteAclsRequest, deleteAclsResponse } from './apis/deleteAcls.ts'
import { describeAclsRequest, describeAclsResponse } from './apis/describeAcls.ts'
import { endTxnRequest, endTxnResponse } from './apis/endTxn.ts'
import { saslAuthenticateRequest, saslAuthenticateResponse } from './apis/saslAuthenticate.ts'
import { saslHandshakeRequest, saslHandshakeResponse } from './apis/saslHandshake.ts'
import { txnOffsetCommitRequest, txnOffsetCommitResponse } from './apis/txnOffsetCommit.ts'
import { quorumApis } from './quorumApis.ts'
import type { Message } from './schema.ts'

/**
 * APIs that the broker neither advertises nor answers yet. Their schemas are here so that a request that comes
 * all the same is read and named rightly.
 */
export const plannedApis = {
  saslHandshake: { request: saslHandshakeRequest, response: saslHandshakeResponse },
  addPartitionsToTxn: { request: addPartitionsToTxnRequest, response: addPartitionsToTxnResponse },
  addOffsetsToTxn: { request: addOffsetsToTxnRequest, response: addOffsetsToTxnResponse },
  endTxn: { request: endTxnRequest, response: endTxnResponse },
  txnOffsetCommit: { request: txnOffsetCommitRequest, response: txnOffsetCommitResponse },
  describeAcls: { request: describeAclsRequest, response: describeAclsResponse },
  createAcls: { request: createAclsRequest, response: createAclsResponse },
  deleteAcls: { request: deleteAclsRequest, response: deleteAclsResponse },
  saslAuthenticate: { request: saslAuthenticateRequest, response: saslAuthenticateResponse },
} as const

const requests = new Map<number, { readonly name: string; readonly request: Message }>()
for (const [name, { request }] of Object.entries({ ...quorumApis, ...apiKeys, ...plannedApis })) {
  requests.set(request.apiKey!, { name, request })
}

/** The name of an API, such as `saslHandshake`, or `API 4711` for one without a schema here. */
export function apiName(key: number): string {
  return requests.get(key)?.name ?? `API ${key}`
}

/** The schema of an API's request, answered or not; null when there is none here. */
export function requestSchema(key: number): Message | null {
  return requests.get(key)?.request ?? null
}
