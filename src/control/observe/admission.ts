// Who may ask the observation listener: the Host header against DNS rebinding, the token against everybody else.

import { createHash, timingSafeEqual } from "node:crypto";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import { canonicalAddress } from "../../net/address.ts";
import { readPrivateFile } from "../../sys/own-files.ts";

const TOKEN_MAX_BYTES = 4096;
/** A shorter one could be guessed. */
const TOKEN = /^[\x21-\x7e]{16,}$/;

interface Refusal {
  readonly status: 401 | 403 | 421;
  readonly message: string;
}

/** Headers of a request. */
interface Provenance {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
}

export class Admission {
  readonly #hosts: ReadonlySet<string>;
  readonly #tokenHash: Buffer | undefined;

  /** `hosts` are the names, beside addresses and "localhost", that a request may call this node by. */
  constructor(hosts: readonly string[], token: string | undefined) {
    this.#hosts = new Set(["localhost", ...hosts.map((host) => host.toLowerCase())]);
    this.#tokenHash = token === undefined ? undefined : hashOf(token);
  }

  /** Whether the request was meant for this node, and no page from elsewhere made it. Undefined when that is so. */
  strangeness({ host, origin }: Provenance): Refusal | undefined {
    // A page from elsewhere whose name was made to lead here sends that name; an address cannot be made to lead here.
    const name = hostName(host ?? "");
    if (name === undefined || !(this.#hosts.has(name) || canonicalAddress(name) !== undefined)) {
      const message = `The Host header must be an address, localhost or one of observe.hosts; found "${printable(host ?? "")}".`;
      return { status: 421, message };
    }
    if (origin === undefined || isOriginOf(origin, host ?? "")) return undefined;
    const message = `The page that asks must be this node's own; found the origin "${printable(origin)}".`;
    return { status: 403, message };
  }

  /** Undefined when who asks has the token, or none is needed. */
  refusal(authorization: string | undefined): Refusal | undefined {
    if (this.#tokenHash === undefined) return undefined;
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1] ?? "";
    // Of equal length, so that the time tells nothing about the token.
    if (timingSafeEqual(hashOf(given), this.#tokenHash)) return undefined;
    return {
      status: 401,
      message: "The request needs the header Authorization: Bearer with the token of observe.token.",
    };
  }
}

/** The token in a file that its owner alone may read. Throws config-unreadable. */
export function readToken(path: string): string {
  let content: Buffer | undefined;
  try {
    content = readPrivateFile(path, TOKEN_MAX_BYTES);
  } catch (error) {
    throw refused(path, reasonOf(error));
  }
  if (content === undefined) throw refused(path, "there is no such file");
  const token = content.toString("latin1").trim();
  if (!TOKEN.test(token)) throw refused(path, "expected one line of 16 or more printable characters without spaces");
  return token;
}

function refused(path: string, reason: string): SapwoodError {
  return new SapwoodError("config-unreadable", `The token file ${path} (observe.token) cannot be used: ${reason}.`);
}

/** Without the port; an IPv6 address without its brackets. Undefined when it is none of these. */
function hostName(host: string): string | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@]+))(?::\d{1,5})?$/i.exec(host);
  return (found?.[1] ?? found?.[2])?.toLowerCase();
}

/** RFC 6454 section 7; the scheme is https where another program encrypts in front of the listener. */
function isOriginOf(origin: string, host: string): boolean {
  return /^https?:\/\//.test(origin) && origin.replace(/^https?:\/\//, "").toLowerCase() === host.toLowerCase();
}

function printable(text: string): string {
  return text.slice(0, 100).replace(/[^\x21-\x7e]/g, "?");
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
