// Lets a process of a test run the sources, its threads included.
import { register } from 'node:module'

register('./typescriptHooks.mjs', import.meta.url)
