// Changes the running tables: by the config file, or by a text from the control socket. A change that is refused
// leaves the tables as they are. Remembers the outcome of the last attempt, for `sapwood status`.

import { SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { LogLevel } from "../../base/log-levels.ts";
import { Turns } from "../../base/turns.ts";
import type { AppliedReport, ConfigReport, DifferenceReport, ErrorBody, ReloadReport } from "../../model/reports.ts";
import type { Tables, TablesPatch } from "../../model/tables.ts";
import { changedFields } from "../config/changed-fields.ts";
import type { FileListener } from "../config/file-watcher.ts";
import type { WrittenText } from "../config/text-reader.ts";
import { type DrainOrder, drainPatch } from "../tables/draining.ts";
import { differenceOf } from "../tables/table-difference.ts";
import type { Preview } from "../tables/table-store.ts";

/** What a reload needs of a configuration; the rest of it cannot change while the proxy runs. */
export interface Reloadable {
  readonly tables: Tables;
  /** Everything that takes effect at the next start only, as the file has it. */
  readonly fixed: object;
  readonly logLevel: LogLevel;
}

/** The tables in force; apply() throws when it refuses, and then nothing has changed. */
interface ReloadTarget {
  readonly generation: number;
  apply(tables: Tables): Promise<{ readonly generation: number }>;
  merge(patch: TablesPatch | ((inForce: Tables) => TablesPatch)): Promise<{ readonly generation: number }>;
  previewApply(tables: Tables): Promise<Preview>;
  previewMerge(patch: TablesPatch): Promise<Preview>;
  /** How many there are in force. */
  readonly sizes: Omit<AppliedReport, "generation">;
}

interface ReloaderOptions<Config extends Reloadable> {
  readonly file: string;
  readonly started: Config; // what the proxy was started with
  readonly target: ReloadTarget;
  /** Makes ready what the tables of a configuration need. */
  readonly prepare: (config: Config) => Promise<void>;
  /** `inForce` is the configuration that was applied last. */
  readonly parseTables: (text: WrittenText, inForce: Config, allowEmpty: boolean) => Promise<Tables>;
  readonly parseTablesPatch: (text: WrittenText, inForce: Config, allowEmpty: boolean) => Promise<TablesPatch>;
  readonly log: Logger;
  /** The level was chosen for this run: the configuration's does not count. */
  readonly isLevelFixed: boolean;
  readonly clock: () => Date;
}

const SOCKET_SOURCE = "control socket";

export class Reloader<Config extends Reloadable> implements FileListener<Config> {
  readonly #options: ReloaderOptions<Config>;
  readonly #turns = new Turns();
  #inForce: Config;
  #last: ReloadReport | undefined;
  #ofFile: Pick<ConfigReport, "refused" | "needRestart"> = {};
  /** How many changes were applied and refused since the start. */
  readonly counts = { applied: 0, refused: 0 };

  constructor(options: ReloaderOptions<Config>) {
    this.#options = options;
    this.#inForce = options.started;
  }

  /** The configuration that was applied last. */
  get inForce(): Config {
    return this.#inForce;
  }

  /** Undefined until something was changed or should have been. */
  get last(): ReloadReport | undefined {
    return this.#last;
  }

  /** What holds until the file changes, whatever is changed by others meanwhile. */
  get ofFile(): Pick<ConfigReport, "refused" | "needRestart"> {
    return this.#ofFile;
  }

  async onContent(config: Config): Promise<void> {
    const { file, started, log, isLevelFixed } = this.#options;
    await this.#options.prepare(config);
    const { generation } = await this.#options.target.apply(config.tables);
    this.#inForce = config;
    const needRestart = changedFields(started.fixed, config.fixed);
    this.#remember(file, undefined, needRestart);
    this.#ofFile = needRestart.length > 0 ? { needRestart } : {};
    if (!isLevelFixed) log.level = config.logLevel;
    log.info({ file, generation, ...sizesIn(this.#options.target) }, "tables applied");
    if (needRestart.length > 0) {
      log.warn({ file, fields: needRestart }, "these settings changed and take effect at the next start");
    }
  }

  onRefused(error: unknown): void {
    const { file, log, target } = this.#options;
    this.#remember(file, errorBody(error), []);
    this.#ofFile = { ...this.#ofFile, refused: errorBody(error) };
    const { generation } = target;
    if (error instanceof SapwoodError) {
      log.error({ file, generation, code: error.code }, `refused, the running tables stay: ${error.message}`);
    } else {
      log.error({ file, generation, err: error }, "refused by an unexpected error, the running tables stay");
    }
  }

  onUnwatched(problem: string): void {
    const { file, log } = this.#options;
    log.warn({ file }, `the configuration cannot be followed as it should be: ${problem}`);
  }

  /** Replaces nodes and services by those of a YAML or JSON text, which may take the last of them away if so wanted. */
  applyText(text: WrittenText, allowEmpty = false): Promise<AppliedReport> {
    const { parseTables, target } = this.#options;
    return this.#fromSocket(async () => target.apply(await parseTables(text, this.#inForce, allowEmpty)));
  }

  /** Changes nodes and services by the patch of a YAML or JSON text, and leaves the others as they are. */
  mergeText(text: WrittenText, allowEmpty = false): Promise<AppliedReport> {
    const { parseTablesPatch, target } = this.#options;
    return this.#fromSocket(async () => target.merge(await parseTablesPatch(text, this.#inForce, allowEmpty)));
  }

  /** Throws not-found when there is no such instance. */
  drain(order: DrainOrder): Promise<AppliedReport> {
    return this.#fromSocket(() => this.#options.target.merge((inForce) => drainPatch(inForce, order)));
  }

  /** What applyText() would change. Throws what it would throw. */
  async previewText(text: WrittenText, allowEmpty = false): Promise<DifferenceReport> {
    const { parseTables, target } = this.#options;
    return differenceReport(await target.previewApply(await parseTables(text, this.#inForce, allowEmpty)));
  }

  /** What mergeText() would change. Throws what it would throw. */
  async previewMerge(text: WrittenText, allowEmpty = false): Promise<DifferenceReport> {
    const { parseTablesPatch, target } = this.#options;
    return differenceReport(await target.previewMerge(await parseTablesPatch(text, this.#inForce, allowEmpty)));
  }

  async #fromSocket(change: () => Promise<{ readonly generation: number }>): Promise<AppliedReport> {
    const { log, target } = this.#options;
    try {
      const { generation } = await this.#turns.take(change); // a change is read as what it finds in force has it
      const report = { generation, ...sizesIn(target) };
      this.#remember(SOCKET_SOURCE, undefined, []);
      log.info({ source: SOCKET_SOURCE, ...report }, "tables applied");
      return report;
    } catch (error) {
      this.#remember(SOCKET_SOURCE, errorBody(error), []);
      throw error; // the answer to the one who asked; api.ts logs what is unexpected
    }
  }

  #remember(source: string, error: ErrorBody | undefined, needRestart: readonly string[]): void {
    const { clock, target } = this.#options;
    const at = clock().toISOString();
    this.counts[error === undefined ? "applied" : "refused"] += 1;
    this.#last = { at, source, ok: error === undefined, generation: target.generation, error, needRestart };
  }
}

function differenceReport({ generation, before, after }: Preview): DifferenceReport {
  return { generation, ...differenceOf(before, after) };
}

function sizesIn({ sizes: { nodes, services, instances } }: ReloadTarget): Omit<AppliedReport, "generation"> {
  return { nodes, services, instances };
}

function errorBody(error: unknown): ErrorBody {
  return error instanceof SapwoodError
    ? { code: error.code, message: error.message, details: error.details }
    : { code: "internal", message: String(error), details: [] };
}
