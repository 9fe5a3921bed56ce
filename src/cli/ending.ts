// What ends a command that runs in the foreground.

/**
 * Resolves at the first SIGTERM or SIGINT; the second ends the process at once. Rejects with an error that nobody
 * caught, so that also then the network is restored.
 */
export function firstEnding(): Promise<void> {
  const ending = new Promise<void>((resolve, reject) => {
    let isEnding = false;
    for (const [signal, number] of [
      ["SIGTERM", 15],
      ["SIGINT", 2],
    ] as const) {
      process.on(signal, () => {
        if (isEnding) process.exit(128 + number);
        isEnding = true;
        resolve();
      });
    }
    process.on("uncaughtException", (error) => {
      if (isEnding) throw error; // node prints it and exits
      isEnding = true;
      reject(error);
    });
  });
  ending.catch(() => undefined); // may happen before anybody waits for it
  return ending;
}
