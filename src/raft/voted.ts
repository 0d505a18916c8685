/*
 * Voted: like unattached, but the vote of this epoch is given. The candidate that has it gets it again if its log is
 * still long enough, since its answer may be lost; nobody else gets one before the next epoch.
 */
export { unattachedTimer as votedTimer } from './unattached.ts'
