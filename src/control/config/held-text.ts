// A long text as it came, read as often as somebody asks. Its services are handed on as frames while they are read. A text
// in which anything is unusual or wrong is read as a whole, by what also reads short ones.

import { SapwoodError } from "../../base/errors.ts";
import type { Service, Tables } from "../../model/tables.ts";
import { ConfigDocument } from "./config-document.ts";
import { FrameBuffer } from "./frame-buffer.ts";
import { NotPlain } from "./json-cursor.ts";
import { parseDocument } from "./parse-text.ts";
import { writeServices } from "./plain-services.ts";
import { FrameKind, frameOf, ServiceFrame } from "./service-frame.ts";
import { findServices, type ServicesText, withoutServices } from "./services-text.ts";
import { type TextKinds, type TextRequest, tablesOf } from "./text-contract.ts";

type Write = (frames: Uint8Array) => void;

export class HeldText {
  readonly #bytes: Buffer;
  readonly #decode: (bytes: Uint8Array) => string;
  readonly #services: ServicesText | undefined;
  #whole: ConfigDocument | undefined;

  /** `decode` throws what a text is refused with that is no UTF-8. */
  constructor(bytes: Buffer, decode: (bytes: Uint8Array) => string) {
    this.#bytes = bytes;
    this.#decode = decode;
    this.#services = findServices(bytes);
  }

  /**
   * What the text says, without its services, which are handed on; `inForce` are those that stay where it names none.
   * Throws a SapwoodError.
   */
  read(request: TextRequest, inForce: readonly Service[], write: Write): TextKinds[keyof TextKinds]["value"] {
    return this.#readPlain(request, write) ?? this.#readWhole(request, inForce, write);
  }

  /** Undefined when there is anything else to be said of it. */
  #readPlain(request: TextRequest, write: Write): TextKinds[keyof TextKinds]["value"] | undefined {
    const services = this.#services;
    if (services === undefined) return undefined;
    let isWritten = false;
    try {
      const rest = this.#decode(withoutServices(services));
      JSON.parse(rest); // in YAML, what looks like the services may be a part of something else
      const document = new ConfigDocument(rest, request.name, (context) =>
        writeServices(services, context, (frames) => {
          isWritten = true;
          write(frames);
        }),
      );
      return parseDocument(document, request);
    } catch (error) {
      const isExpected = [SapwoodError, NotPlain, SyntaxError].some((kind) => error instanceof kind);
      if (!isExpected) throw error;
      if (isWritten) write(frameOf(FrameKind.restart));
      return undefined;
    }
  }

  #readWhole(request: TextRequest, inForce: readonly Service[], write: Write): TextKinds[keyof TextKinds]["value"] {
    this.#whole ??= new ConfigDocument(this.#decode(this.#bytes), request.name);
    const value = parseDocument(this.#whole, request);
    const tables: Tables | undefined = tablesOf(value);
    if (tables === undefined || tables.services === inForce) return value;
    writeWhole(tables.services, write);
    return value;
  }
}

/** Services of any kind. */
export function writeWhole(services: readonly Service[], write: Write): void {
  const out = new FrameBuffer(write);
  const frame = new ServiceFrame(out);
  for (const service of services) {
    frame.begin();
    frame.whole(service);
    frame.finish("");
  }
  out.flush();
}
