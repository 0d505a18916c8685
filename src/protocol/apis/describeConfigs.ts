import { array, bool, int8, int16, int32, message, nullableArray, nullableString, string } from '../schema.ts'

/** Asks for the configuration of topics, brokers or groups. Source: KIP-133, KIP-226 (synonyms). */
export const describeConfigsRequest = message(
  32,
  { valid: '1-4', flexible: '4+' },
  {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configurationKeys: nullableArray('0+', 'string'), // null: all of them.
    }),
    includeSynonyms: bool('1+'), // KIP-226.
    includeDocumentation: bool('3+'), // KIP-569.
  },
)

/**
 * The configuration of each resource. Source: KIP-133, KIP-226 (synonyms), KIP-569 (types and
 * documentation).
 */
export const describeConfigsResponse = message(
  32,
  { valid: '1-4', flexible: '4+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      errorCode: int16('0+'),
      errorMessage: nullableString('0+'),
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: nullableString('0+'),
        readOnly: bool('0+'),
        configSource: int8('1+', { default: -1, ignorable: true }),
        isSensitive: bool('0+'),
        // KIP-226.
        synonyms: array(
          '1+',
          {
            name: string('1+'),
            value: nullableString('1+'),
            source: int8('1+'),
          },
          { ignorable: true },
        ),
        configType: int8('3+', { ignorable: true }), // KIP-569.
        documentation: nullableString('3+', { ignorable: true }),
      }),
    }),
  },
)
