// Whether another process can take the place of this one for whoever started it.

/** Why he would take the end of this process for that of the proxy, as a sentence; undefined: he would not. */
export function whyUnreplaceable(env: NodeJS.ProcessEnv): string | undefined {
  if (process.pid === 1) {
    return "The proxy is process 1 of a container, which ends with it: start a new container instead.";
  }
  // systemd.exec(5): the number of the process that the unit started, also in the environment of what that starts.
  const isOfUnit = env.SYSTEMD_EXEC_PID === String(process.pid);
  if (!isOfUnit || env.NOTIFY_SOCKET !== undefined) return undefined;
  return "The unit has no NotifyAccess=main, so that systemd would not hear of the next process: restart the unit instead.";
}
