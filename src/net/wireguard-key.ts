// WireGuard's keys as text, and the address that a node has inside the encrypted underlay.
// A key is an X25519 key (RFC 7748 section 5): 32 bytes, written in base64 as `wg genkey` and `wg pubkey` write them.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { ADDRESS_SIZE, formatAddress, type Prefix, parsePrefix } from "./address.ts";

/** Where WireGuard listens unless told otherwise; the port that its documentation uses. */
export const WIREGUARD_PORT = 51_820;
const KEY_SIZE = 32;
/**
 * DER in front of the key's bytes: PrivateKeyInfo and SubjectPublicKeyInfo with id-X25519 (RFC 8410 sections 4 and 7).
 */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_PREFIX_SIZE = 12;

/**
 * Where the nodes of an encrypted underlay have their addresses: unique local addresses (RFC 4193) whose global ID is
 * the start of SHA-256("sapwood wireguard"). One prefix for all makes one route, and one question to a datagram.
 */
export const TUNNEL_PREFIX: Prefix = parsePrefix("fd03:ff06:6f4a::/48");
const TUNNEL_PREFIX_SIZE = 6;

/** A new private key as text. */
export function newPrivateKey(): string {
  const der = generateKeyPairSync("x25519").privateKey.export({ format: "der", type: "pkcs8" });
  return der.subarray(PKCS8_PREFIX.length).toString("base64");
}

/** Whether the text is a key: base64 of 32 bytes, in the one form that encodes them. */
export function isWireguardKey(text: string): boolean {
  const bytes = Buffer.from(text, "base64");
  return bytes.length === KEY_SIZE && bytes.toString("base64") === text;
}

/** The public key of a private one, both as text. */
export function publicKeyOf(privateKey: string): string {
  const der = Buffer.concat([PKCS8_PREFIX, Buffer.from(privateKey, "base64")]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  return key.export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX_SIZE).toString("base64");
}

/**
 * The address inside the encrypted underlay of the node with this public key: the prefix, then the first 80 bits of the
 * key's SHA-256. Nothing has to be configured, and nobody can choose a key to get the address of another one.
 */
export function tunnelAddressOf(publicKey: string): string {
  const bytes = new Uint8Array(ADDRESS_SIZE);
  bytes.set(TUNNEL_PREFIX.bytes.subarray(0, TUNNEL_PREFIX_SIZE));
  const digest = createHash("sha256").update(Buffer.from(publicKey, "base64")).digest();
  bytes.set(digest.subarray(0, ADDRESS_SIZE - TUNNEL_PREFIX_SIZE), TUNNEL_PREFIX_SIZE);
  return formatAddress(bytes);
}
