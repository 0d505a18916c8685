import { expect, test } from 'vitest'
import {
  type ClusterFile,
  controllerCount,
  nodeProperties,
  parseClusterFile,
  plannedNodes,
} from '../../../src/cli/cluster/clusterPlan.ts'
import { parseProperties } from '../../../src/cli/properties.ts'
import { gatherSettings } from '../../../src/cli/settings.ts'
import type { Uuid } from '../../../src/model/uuid.ts'

function cluster(nodes: number): ClusterFile {
  return {
    clusterId: 'MkU3OEVBNTcwNTJENDM2Qg' as Uuid,
    nodes,
    host: '127.0.0.1',
    basePort: 9092,
    nodePorts: Array.from({ length: nodes }, (_, index) => 10_092 + index),
  }
}

function propertiesOf(
  file: ClusterFile,
  id: number,
  set: readonly [string, string][] = [],
): Map<string, string> {
  const node = plannedNodes(file, '/data')[id - 1]!
  return new Map(
    parseProperties(nodeProperties(file, node, set), 'f').map(({ name, value }) => [name, value]),
  )
}

test('an odd number of nodes votes on metadata, at most five', () => {
  expect([1, 2, 3, 4, 5, 6, 9].map(controllerCount)).toEqual([1, 1, 3, 3, 5, 5, 5])
})

test('node i takes clients on the base port + i - 1 and has a directory of its own', () => {
  expect(plannedNodes({ ...cluster(2), metricsBasePort: 9100 }, '/data')).toEqual([
    {
      id: 1,
      port: 9092,
      nodePort: 10_092,
      metricsPort: 9100,
      directory: '/data/node-1',
      configFile: '/data/node-1.properties',
    },
    {
      id: 2,
      port: 9093,
      nodePort: 10_093,
      metricsPort: 9101,
      directory: '/data/node-2',
      configFile: '/data/node-2.properties',
    },
  ])
})

test('all nodes have the same voters and three copies, two of which must have a record', () => {
  const properties = propertiesOf(cluster(4), 4)
  expect(properties.get('controller.quorum.voters')).toBe(
    '1@127.0.0.1:10092,2@127.0.0.1:10093,3@127.0.0.1:10094',
  )
  expect(properties.get('process.roles')).toBe('broker')
  expect(propertiesOf(cluster(4), 3).get('process.roles')).toBe('broker,controller')
  expect(properties.get('listeners')).toBe('PLAINTEXT://127.0.0.1:9095,CONTROLLER://127.0.0.1:10095')
  expect([properties.get('default.replication.factor'), properties.get('min.insync.replicas')]).toEqual([
    '3',
    '2',
  ])
})

test('a setting that was given wins over the plan, once', () => {
  const properties = propertiesOf(cluster(3), 1, [['min.insync.replicas', '1']])
  expect(properties.get('min.insync.replicas')).toBe('1')
})

test.each([1, 2, 3, 5, 7])('the broker knows every setting of the plan: %i nodes', (nodes) => {
  const file = { ...cluster(nodes), metricsBasePort: 9100 }
  for (const node of plannedNodes(file, '/data')) {
    const properties = parseProperties(nodeProperties(file, node, []), 'f')
    const { problems, warnings } = gatherSettings({
      file: { path: 'f', properties },
      environment: {},
      set: [],
      flags: [],
    })
    expect([problems, warnings]).toEqual([[], []])
  }
})

test.each([
  '',
  'x',
  '{}',
  '[]',
  'null',
  '{"clusterId":"a","nodes":2,"host":"h","basePort":1,"nodePorts":[1]}',
  '{"clusterId":"a","nodes":1,"host":"h","basePort":1,"nodePorts":[1],"metricsBasePort":"9"}',
])('a file that is not of a cluster is refused: %s', (text) => {
  expect(() => parseClusterFile(text, '/d/cluster.json')).toThrow('/d/cluster.json is not what')
})

test('what was written is read', () => {
  const withMetrics = { ...cluster(3), metricsBasePort: 9100 }
  for (const each of [cluster(3), withMetrics]) {
    expect(parseClusterFile(JSON.stringify(each), 'f')).toEqual(each)
  }
})
