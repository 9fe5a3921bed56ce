import { describe, expect, test } from "vitest";
import { contains, parseAddress } from "../../../src/net/address.ts";
import {
  isWireguardKey,
  newPrivateKey,
  publicKeyOf,
  TUNNEL_PREFIX,
  tunnelAddressOf,
} from "../../../src/net/wireguard-key.ts";
import { given } from "../../support/given.ts";

// RFC 7748 section 6.1
const ALICE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
const BOB = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
const BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";

function base64(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64");
}

test.each([
  ["Alice", ALICE, ALICE_PUBLIC],
  ["Bob", BOB, BOB_PUBLIC],
])("the public key of %s is the one of RFC 7748", (_who, privateKey, publicKey) => {
  expect(publicKeyOf(base64(privateKey))).toBe(base64(publicKey));
});

test("new private keys differ, and have public keys", () => {
  const keys = Array.from({ length: 8 }, newPrivateKey);
  expect(new Set(keys.map(publicKeyOf)).size).toBe(8);
  expect(keys.every(isWireguardKey)).toBe(true);
});

describe("isWireguardKey", () => {
  test.each([
    ["a key", base64(ALICE_PUBLIC), true],
    ["nothing", "", false],
    ["31 bytes", Buffer.alloc(31).toString("base64"), false],
    ["33 bytes", Buffer.alloc(33).toString("base64"), false],
    ["a key without its padding", base64(ALICE_PUBLIC).replace("=", ""), false],
    ["bits behind the last byte", base64(ALICE_PUBLIC).replace(/.=$/, "h="), false],
    ["base64url", `${"-".repeat(43)}=`, false],
    ["a key and a line end", `${base64(ALICE_PUBLIC)}\n`, false],
  ])("%s", (_what, text, isKey) => {
    expect(isWireguardKey(text)).toBe(isKey);
  });
});

describe("tunnelAddressOf", () => {
  test("is within the prefix, and stays the same over versions: the nodes derive it from each other's keys", () => {
    const address = tunnelAddressOf(base64(ALICE_PUBLIC));
    expect(contains(TUNNEL_PREFIX, given(parseAddress(address)))).toBe(true);
    expect(address).toBe("fd03:ff06:6f4a:300c:9c96:3b9:2a4b:39ed");
  });

  test("differs by the key", () => {
    expect(tunnelAddressOf(base64(ALICE_PUBLIC))).not.toBe(tunnelAddressOf(base64(BOB_PUBLIC)));
  });
});
