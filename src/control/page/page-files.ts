// The files of the page, as the build made them: read when somebody asks for the first time.

import { readFileSync } from "node:fs";
import { SapwoodError } from "../../base/errors.ts";
import { Page } from "../observe/pages.ts";

// Compiled, this file is dist/src/control/page/page-files.js; as source it is src/control/page/page-files.ts.
const BUILT = new URL(import.meta.url.endsWith(".ts") ? "../../../dist/page/" : "../../../page/", import.meta.url);

/** By path; the names are those that the build gives. */
const FILES: ReadonlyMap<string, { readonly name: string; readonly contentType: string }> = new Map([
  ["/", { name: "index.html", contentType: "text/html; charset=utf-8" }],
  ["/page/app.js", { name: "app.js", contentType: "text/javascript; charset=utf-8" }],
  ["/page/app.css", { name: "app.css", contentType: "text/css; charset=utf-8" }],
  ["/page/icon.svg", { name: "icon.svg", contentType: "image/svg+xml" }],
  ["/page/licenses.txt", { name: "licenses.txt", contentType: "text/plain; charset=utf-8" }],
]);

export class PageFiles {
  readonly #read = new Map<string, Page>();

  /** Undefined when the page has no such file. Throws internal when it should have. */
  file(path: string): Page | undefined {
    const known = this.#read.get(path);
    if (known !== undefined) return known;
    const place = FILES.get(path);
    if (place === undefined) return undefined;
    const file = new Page(200, place.contentType, readBuilt(place.name));
    this.#read.set(path, file);
    return file;
  }
}

function readBuilt(name: string): string {
  try {
    return readFileSync(new URL(name, BUILT), "utf8");
  } catch (error) {
    throw new SapwoodError("internal", `The page's file ${name} is not there; build or install the package again.`, {
      cause: error,
    });
  }
}
