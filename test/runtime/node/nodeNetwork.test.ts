import { expect, test } from 'vitest'
import { NodeNetwork } from '../../../src/runtime/node/nodeNetwork.ts'

test.each([70_000, -1, 1.5, Number.NaN])('port %d is refused as a setting that is wrong', async (port) => {
  const network = new NodeNetwork()
  const address = { host: '127.0.0.1', port }
  const refused = { name: 'EngineError', code: 'invalidConfig' }
  await expect(network.listen(address, () => {})).rejects.toMatchObject(refused)
  await expect(network.connect(address, 1000)).rejects.toMatchObject(refused)
})
