// Clients of a node's observation listener, started in the node: page-clients.mjs PORT COUNT SILENT.
// COUNT of them follow the live page; what each was answered is printed when all were. SILENT others ask for the metrics,
// once or very many times, without ever reading an answer; a line is printed when all of these are ended.

import { get } from "node:http";
import { connect } from "node:net";

const [port, count, silent] = process.argv.slice(2).map(Number);
const ASKED_AT_ONCE = 1000;

const answers = await Promise.all(Array.from({ length: count }, follow));
console.log(`answered ${JSON.stringify(answers)}`);
await Promise.all(Array.from({ length: silent }, askAndNeverRead));
console.log("ended");

/** The status, and what a refusal says. Whoever is let in goes on reading. */
function follow() {
  return new Promise((resolve) => {
    const asked = get({ port, path: "/page/stream?view=overview", agent: false }, (response) => {
      const { statusCode, headers } = response;
      if (statusCode === 200) {
        response.resume();
        return resolve({ statusCode });
      }
      let message = "";
      response.setEncoding("utf8").on("data", (text) => {
        message += text;
      });
      response.on("end", () => resolve({ statusCode, message, retryAfter: headers["retry-after"] }));
    });
    asked.on("error", (error) => resolve({ error: error.message }));
  });
}

function askAndNeverRead(_, index) {
  return new Promise((resolve) => {
    const socket = connect({ port }, () => {
      socket.pause();
      socket.write(
        `GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`.repeat(index % 2 === 0 ? 1 : ASKED_AT_ONCE),
      );
      // Nothing is read, so only a write can tell that the other end is gone.
      const timer = setInterval(() => socket.write("\r\n"), 500);
      socket.on("close", () => {
        clearInterval(timer);
        resolve();
      });
    });
    socket.on("error", () => undefined); // it closes then
  });
}
