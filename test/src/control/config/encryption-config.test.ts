// What the config file says of the encrypted underlay, and what is said about each mistake in it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadStateDirectory, parseConfig } from "../../../../src/control/config/config.ts";
import { newPrivateKey, publicKeyOf } from "../../../../src/net/wireguard-key.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

const [KEY, OTHER_KEY] = [publicKeyOf(newPrivateKey()), publicKeyOf(newPrivateKey())];

function file(underlay: string, ...nodes: string[]): string {
  const own = `node: { id: node-a, underlay: { address: 192.0.2.11${underlay} } }`;
  return `${own}\nnodes: [${nodes.join(", ")}]\n`;
}

function node(number: number, fields: string, underlay = ""): string {
  return `{ id: n${number}, underlay: { address: 192.0.2.${20 + number}${underlay} }${fields} }`;
}

const ENCRYPTED = ", encryption: wireguard";

describe("an encrypted underlay", () => {
  test("has WireGuard's port, an interface named after the TUN, and a socket for all addresses", () => {
    expect(parseConfig(file(ENCRYPTED), "f").node.underlay).toEqual({
      address: "192.0.2.11",
      port: 50103,
      bind: "::",
      encryption: "wireguard",
      wireguardPort: 51820,
      wireguardBackend: "auto",
      wireguardDevice: "wg-sapwood0",
    });
  });

  test("an interface's name is never too long for the kernel", () => {
    const text = `${file(ENCRYPTED)}tun: { name: a-name-of-15-ch }\n`;
    expect(parseConfig(text, "f").node.underlay.wireguardDevice).toBe("wg-a-name-of-15");
  });

  test("nodes have keys, one or two, or are reached in clear by name", () => {
    const nodes = [
      node(1, `, publicKey: ${KEY}, nextPublicKey: ${OTHER_KEY}`, ", wireguardPort: 4000"),
      node(2, "", ", encryption: none"),
    ];
    expect(parseConfig(file(ENCRYPTED, ...nodes), "f").tables.nodes).toEqual([
      {
        id: "n1",
        underlay: { address: "192.0.2.21", port: 50103, wireguardPort: 4000 },
        publicKey: KEY,
        nextPublicKey: OTHER_KEY,
      },
      { id: "n2", underlay: { address: "192.0.2.22", port: 50103, encryption: "none" } },
    ]);
  });

  test("keys may be handed out before it is encrypted", () => {
    const { node: own, tables } = parseConfig(file("", node(1, `, publicKey: ${KEY}`)), "f");
    expect(own.underlay).toMatchObject({ bind: "192.0.2.11", encryption: "none" });
    expect(tables.nodes[0]).toMatchObject({ publicKey: KEY });
  });
});

describe("a mistake is named with line and field", () => {
  test.each([
    [
      "no key",
      file(ENCRYPTED, node(1, "")),
      '2: nodes[0]: expected a publicKey, or "underlay.encryption: none" to reach the node in clear, found neither',
    ],
    [
      "a key of the wrong length",
      file(ENCRYPTED, node(1, ", publicKey: AAAA")),
      "2: nodes[0].publicKey: expected a WireGuard key, 44 characters of base64, found AAAA",
    ],
    [
      "a key that another node has",
      file(ENCRYPTED, node(1, `, publicKey: ${KEY}`), node(2, `, publicKey: ${KEY}`)),
      `2: nodes[1].publicKey: expected another key than that of n1, found ${KEY}`,
    ],
    [
      "a next key that is the current one",
      file(ENCRYPTED, node(1, `, publicKey: ${KEY}, nextPublicKey: ${KEY}`)),
      `2: nodes[0].nextPublicKey: expected another key than that of n1, found ${KEY}`,
    ],
    [
      "a next key alone",
      file("", node(1, `, nextPublicKey: ${KEY}`)),
      `2: nodes[0].nextPublicKey: expected no next key without publicKey, found ${KEY}`,
    ],
    [
      "a key beside clear",
      file(ENCRYPTED, node(1, `, publicKey: ${KEY}`, ", encryption: none")),
      `2: nodes[0].publicKey: expected no key beside encryption none, found ${KEY}`,
    ],
    [
      "a cipher that it does not know",
      file(", encryption: ipsec"),
      '1: node.underlay.encryption: expected "wireguard" or "none", found ipsec',
    ],
    [
      "a bound socket",
      file(`${ENCRYPTED}, bind: 192.0.2.11`),
      "1: node.underlay.bind: expected no such field with encryption: WireGuard listens at all addresses, found 192.0.2.11",
    ],
    [
      "one port for both",
      file(`${ENCRYPTED}, wireguardPort: 50103`),
      "1: node.underlay.wireguardPort: expected another port than that of the tunnel, found 50103",
    ],
    [
      "a range that has the addresses inside",
      `${file(ENCRYPTED)}ranges: ["fd00::/8"]\n`,
      "3: ranges: expected ranges without fd03:ff06:6f4a::/48, where encrypted nodes are, found fd00::/8",
    ],
  ])("%s", (_what, text, line) => {
    expect(refusalLines(text)).toEqual([line]);
  });
});

test("the state directory is known before the file names the other nodes' keys", () => {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-config-"));
  try {
    const path = join(folder, "node.yaml");
    writeFileSync(path, file(ENCRYPTED, node(1, "")));
    expect(loadStateDirectory(path)).toBe("/var/lib/sapwood/node-a");
    writeFileSync(path, `state: { directory: /here }\n${file(ENCRYPTED, node(1, ""))}`);
    expect(loadStateDirectory(path)).toBe("/here");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
