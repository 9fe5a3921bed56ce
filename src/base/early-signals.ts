// Imported before all else: loading the program takes a while, and SIGHUP, which asks a proxy to read its file again,
// would end a process that does not listen to it yet. A proxy that starts reads its file anyway.

if (process.argv[2] === "run" || process.argv[2] === "netmanager") process.on("SIGHUP", () => undefined);
