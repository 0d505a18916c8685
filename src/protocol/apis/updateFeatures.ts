import { array, bool, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/** Changes finalized feature levels of the cluster. Source: KIP-584, KIP-778 (upgrade types), KIP-1022. */
export const updateFeaturesRequest = message(
  57,
  { valid: '0-2', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60_000 }),
    featureUpdates: array('0+', {
      feature: string('0+'),
      maxVersionLevel: int16('0+'),
      allowDowngrade: bool('0'),
      upgradeType: int8('1+', { default: 1 }), // 1: upgrade, 2: safe downgrade, 3: unsafe downgrade.
    }),
    validateOnly: bool('1+'),
  },
)

/** Whether they were changed: from version 2 on all or none. */
export const updateFeaturesResponse = message(
  57,
  { valid: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { default: null }),
    results: array(
      '0-1',
      {
        feature: string('0+'),
        errorCode: int16('0+'),
        errorMessage: nullableString('0+', { default: null }),
      },
      { ignorable: true },
    ),
  },
)
