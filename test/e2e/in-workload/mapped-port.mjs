// Client: `mapped-port.mjs ADDRESS TCP-PORT UDP-PORT` asks over one TCP connection, which it opens as soon as it can, and from
// one UDP socket, all the time. Prints a line for each change: "udp INSTANCE" when another instance answers, "tcp INSTANCE"
// when the connection is answered, "tcp closed" when it ends; there is no other one then.
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";

const PAUSE_MS = 100;
const REQUEST = "GET / HTTP/1.1\r\nHost: server\r\n\r\n";

const [address = "", tcpPort = "", udpPort = ""] = process.argv.slice(2);
const answering = { tcp: "", udp: "" };

function answered(protocol, text) {
  const [, instance] = /"instance":"([^"]+)"/.exec(text) ?? [];
  if (instance === undefined || answering[protocol] === instance) return;
  answering[protocol] = instance;
  process.stdout.write(`${protocol} ${instance}\n`);
}

function openTcp() {
  const socket = connect({ host: address, port: Number(tcpPort) });
  let asking;
  socket.on("connect", () => {
    asking = setInterval(() => socket.write(REQUEST), PAUSE_MS);
  });
  socket.on("data", (data) => answered("tcp", String(data)));
  socket.on("error", () => undefined); // "close" follows
  socket.on("close", () => {
    clearInterval(asking);
    if (answering.tcp === "") setTimeout(openTcp, PAUSE_MS);
    else process.stdout.write("tcp closed\n");
  });
}

const udp = createSocket(isIPv6(address) ? "udp6" : "udp4", (message) => answered("udp", String(message)));
setInterval(() => udp.send("?", Number(udpPort), address), PAUSE_MS);
openTcp();
process.stdout.write("asking\n");
