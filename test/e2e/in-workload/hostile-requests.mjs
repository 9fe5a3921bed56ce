// Program: `hostile-requests.mjs SOCKET` sends the control socket what no honest client does: texts that are nested as deep
// as a stack, with names that mean something to JavaScript, with very many keys, with so many mistakes that reading them
// takes seconds, and requests that break off. Meanwhile it asks for the status, as others do. Prints one JSON line: the answers' statuses,
// and how many answers of the status came while the longest text was being read.
import { request } from "node:http";
import { connect } from "node:net";

const [socketPath] = process.argv.slice(2);
const TABLES = { method: "POST", path: "/v1/tables" };
const LONG = `services:\n${"- a\n".repeat(100_000)}`;

function ask({ method = "GET", path, body, headers = {} }) {
  return new Promise((resolve) => {
    const asked = request({ socketPath, method, path, headers, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
      response.on("error", () => resolve("broken"));
    });
    asked.on("error", ({ code }) => resolve(code));
    asked.end(body);
  });
}

/** A request that ends in the middle, or never begins. */
function breakOff(text) {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => socket.end(text));
    socket.on("error", () => undefined);
    socket.resume();
    socket.on("close", resolve);
  });
}

const statuses = {};
for (const [what, order] of Object.entries({
  "deep JSON": { ...TABLES, body: `{"services":${"[".repeat(4216)}` },
  "deep YAML": { ...TABLES, body: `services: ${"[".repeat(4216)}` },
  "deep blocks": { ...TABLES, body: Array.from({ length: 5000 }, (_, i) => `${" ".repeat(i)}a:\n`).join("") },
  "20,000 keys": { ...TABLES, body: Array.from({ length: 20_000 }, (_, i) => `k${i}: 1\n`).join("") },
  "aliases of aliases": {
    ...TABLES,
    body: `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from("bcdefghij", (c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefghi"[i]}`)}]\n`).join("")}`,
  },
  "a prototype": { ...TABLES, body: '{"__proto__":{"services":[]},"constructor":1}' },
  "a policy called constructor": { path: "/v1/policies/constructor" },
  "a module of nothing": { method: "PUT", path: "/v1/policies/constructor", body: Buffer.alloc(8) },
  "a body that is not there": { ...TABLES, headers: { "content-length": String(2 ** 40) }, body: "x" },
  "no UTF-8": { ...TABLES, body: Buffer.from([0xff, 0xfe, 0x80]) },
})) {
  statuses[what] = await ask(order);
}
for (const text of [
  "",
  "GET",
  `POST /v1/tables HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{`,
  "\0".repeat(70_000),
])
  await breakOff(text);

let isReading = true;
let meanwhile = 0;
const long = ask({ ...TABLES, body: LONG }).then((status) => {
  isReading = false;
  statuses["a long text full of mistakes"] = status;
});
while (isReading) {
  const status = await ask({ path: "/v1/status" });
  if (status !== 200) statuses["status meanwhile"] = status;
  else if (isReading) meanwhile += 1;
}
await long;
process.stdout.write(`${JSON.stringify({ statuses, meanwhile })}\n`);
