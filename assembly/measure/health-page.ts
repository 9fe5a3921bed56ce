// Pages about the health of instances (shared/layout/health-page.ts) on their way between control planes: handed out
// with the answer to a probe that asks for one, and kept for the control plane when another node's comes. What is in
// them the data plane does not read.

import { healthPagesAt, workerAt } from "../area/regions.ts";
import { HealthPages, ReceivedPage } from "../record/health-page.ts";
import { WorkerArea } from "../record/worker.ts";
import * as HealthPageLayout from "../shared/layout/health-page.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";

/** Of what this node tells, 0 = nothing. */
export function toldRevision(): u32 {
  return HealthPages.at(healthPagesAt).sequence.load() >>> 1;
}

/** Copies a page to `to`. False when there is none, or it is being written. */
export function copyPage(page: u32, revision: u32, to: usize): bool {
  const sequence = revision << 1;
  if (HealthPages.at(healthPagesAt).sequence.load() != sequence || page >= HealthPages.at(healthPagesAt).pageCount) {
    return false;
  }
  const at = healthPagesAt + HealthPageLayout.HEAD + <usize>page * HealthPageLayout.SIZE;
  memory.copy(to, at, HealthPageLayout.SIZE);
  return HealthPages.at(healthPagesAt).sequence.add(0) == sequence; // nothing of the page is read after it
}

/** Keeps the page at `page` for the control plane, which looks now and then: the newest ones are kept. */
export function keepPage(node: u32, revision: u32, page: usize): void {
  const turn = WorkerArea.at(workerAt).pagesReceived.load() + 1;
  const slot = (turn - 1) % HealthPageLayout.RECEIVED_MAX;
  const at = workerAt + WorkerLayout.RECEIVED_PAGES + <usize>slot * HealthPageLayout.RECEIVED_SIZE;
  ReceivedPage.at(at).turn.exchange(0);
  ReceivedPage.at(at).node = node;
  ReceivedPage.at(at).revision = revision;
  memory.copy(at + HealthPageLayout.RECEIVED_PAGE, page, HealthPageLayout.SIZE);
  ReceivedPage.at(at).turn.store(turn);
  WorkerArea.at(workerAt).pagesReceived.store(turn);
}
