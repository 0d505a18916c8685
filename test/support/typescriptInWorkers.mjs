// Lets worker threads of a test run the sources: the test runner compiles what it imports itself, but a thread that
// the engine starts is Node's alone. Threads inherit this import; nothing but them pays for it.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

if (!isMainThread) register('./typescriptHooks.mjs', import.meta.url)
