// A process that listens at a unix socket and a TCP port, and loses its descriptors as it is told to.
import { openSync } from "node:fs";
import { createServer } from "node:http";
import { DescriptorReserve, expectRoomToLoad } from "../../../../dist/src/sys/descriptor-reserve.js";

const REFUSAL = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfull";

const reserve = new DescriptorReserve();
const servers = [process.argv[2], { port: 0, host: "127.0.0.1" }].map((at) =>
  createServer((_, response) => response.end("answered")).listen(at),
);
await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
reserve.fill();

const orders = {
  /** Opens all that it may. */
  "fill the table": () => {
    try {
      for (;;) openSync("/dev/null", "r");
    } catch {
      return refused(() => reserve.fill());
    }
  },
  "fill": () => refused(() => reserve.fill()),
  "load": () => refused(expectRoomToLoad),
  "give up": () => reserve.giveUp(),
  /** As often as it is asked to, until somebody waits. */
  "refuse": () => reserve.refuseWaiting(Buffer.from(REFUSAL)),
};

process.on("message", (order) => process.send({ [order]: orders[order]() }));
process.send({ port: servers[1].address().port });

/** By which errno. */
function refused(attempt) {
  try {
    attempt();
    return "nothing";
  } catch (error) {
    return error.code;
  }
}
