// The grammar of port mappings, with the cases of upstream's own tests.
import { expect, test } from "vitest";
import { type PortMapping, parsePortMappings } from "../../../../../src/control/providers/oakestra/port-mappings.ts";

function tcp(host: number, container = host): PortMapping {
  return { protocol: "tcp", host, container };
}

function udp(host: number, container = host): PortMapping {
  return { protocol: "udp", host, container };
}

test.each<[string, PortMapping[]]>([
  ["", []],
  ["80", [tcp(80)]],
  ["80:80", [tcp(80)]],
  ["80:80/udp", [udp(80)]],
  ["80/udp:81", [udp(80, 81)]],
  ["80:80/tcp;90:100/tcp", [tcp(80), tcp(90, 100)]],
  ["80:80/udp;90:100/udp", [udp(80), udp(90, 100)]],
  ["8080:80, 53:53/udp", [tcp(8080, 80), udp(53)]],
  ["8080:80;", [tcp(8080, 80)]],
  ["53;53/udp", [tcp(53), udp(53)]],
  ["080:+80", [tcp(80)]],
])("%j [behaviour 14, measured 12]", (text, mappings) => {
  expect(parsePortMappings(text)).toEqual(mappings);
});

test.each([
  "80:80-80",
  "hello",
  "80-90",
  "80/sctp",
  "80:",
  "0",
  "65536",
  "80;;81",
  ";",
  "1:2:3",
  "-1",
  "80:80/udp/udp",
])("%j is refused", (text) => {
  expect(() => parsePortMappings(text)).toThrow("portMappings: expected host[:container][/tcp|/udp]");
});

test("a port that is there twice is refused", () => {
  expect(() => parsePortMappings("80:1,80:2")).toThrow(
    "portMappings: expected each port of the host once, found 80/tcp twice",
  );
});
