// Imported before all else: loading the program takes a while, and signals may come meanwhile.

if (process.argv[2] === "run" || process.argv[2] === "netmanager") {
  // It asks a proxy to read its file again, and would end a process that does not listen to it yet. A proxy that starts
  // reads its file anyway.
  process.on("SIGHUP", () => undefined);
  // Node.js would open its debugger, through which any user of the machine can run code with the rights of this process.
  process.on("SIGUSR1", () => undefined);
}
