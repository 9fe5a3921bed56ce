// Descriptors that systemd keeps while the unit has no process, so that packets wait in their queues instead of being
// dropped: given to it by a process that runs (service-manager.ts), and inherited by the next one (sd_listen_fds(3)).

const FIRST_DESCRIPTOR = 3; // sd-daemon.h, SD_LISTEN_FDS_START
/** More than a unit may have of ours. */
const COUNT_MAX = 1024;

/** By the names under which they were stored; none where this process was not given any. */
export function storedDescriptors(env: NodeJS.ProcessEnv): ReadonlyMap<string, number> {
  const { LISTEN_PID, LISTEN_FDS = "", LISTEN_FDNAMES = "" } = env;
  const isCount = /^\d{1,4}$/.test(LISTEN_FDS) && Number(LISTEN_FDS) <= COUNT_MAX;
  if (LISTEN_PID !== String(process.pid) || !isCount) return new Map();
  const names = LISTEN_FDNAMES.split(":");
  return new Map(Array.from({ length: Number(LISTEN_FDS) }, (_, i) => [names[i] ?? "", FIRST_DESCRIPTOR + i]));
}
