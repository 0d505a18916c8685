import type { Endpoint } from '../controller/image.ts'
import {
  defaultGroupCoordinatorConfig,
  type GroupCoordinatorConfig,
} from '../coordinator/coordinatorConfig.ts'
import type { BrokerConfig } from './brokerConfig.ts'
import type { AdvertisedNode } from './services.ts'

const plaintext = 0

/** Where clients reach a broker, on the listener `name`. */
export function clientEndpoint({ host, port }: AdvertisedNode, name = 'PLAINTEXT'): Endpoint {
  return { name, host, port, securityProtocol: plaintext }
}

/** What the settings say of consumer groups. */
export function groupConfig(config: BrokerConfig): GroupCoordinatorConfig {
  return {
    ...defaultGroupCoordinatorConfig,
    groupMinSessionTimeoutMs: config.number('group.min.session.timeout.ms'),
    groupMaxSessionTimeoutMs: config.number('group.max.session.timeout.ms'),
    groupInitialRebalanceDelayMs: config.number('group.initial.rebalance.delay.ms'),
    groupMaxSize: config.number('group.max.size'),
    offsetMetadataMaxBytes: config.number('offset.metadata.max.bytes'),
    offsetsRetentionMs: config.number('offsets.retention.minutes') * 60_000,
    offsetsRetentionCheckIntervalMs: config.number('offsets.retention.check.interval.ms'),
  }
}
