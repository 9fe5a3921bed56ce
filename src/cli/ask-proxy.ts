// All that `sapwood doctor` asks a proxy, if one answers.

import { SapwoodError } from "../base/errors.ts";
import type { ProxyAnswers } from "../doctor/settings.ts";
import type { InstanceReport, NodeReport, ServiceAddressReport, StatusReport } from "../model/reports.ts";
import { fetchReport } from "./client.ts";

interface Asked {
  readonly proxy: ProxyAnswers | undefined;
  /** Why one that may be there could not be asked. */
  readonly refusal: string | undefined;
}

export async function askProxy(socket: string): Promise<Asked> {
  try {
    const [status, nodes, instances, services] = await Promise.all([
      fetchReport<StatusReport>(socket, "/v1/status"),
      fetchReport<readonly NodeReport[]>(socket, "/v1/nodes"),
      fetchReport<readonly InstanceReport[]>(socket, "/v1/instances"),
      fetchReport<readonly ServiceAddressReport[]>(socket, "/v1/services"),
    ]);
    return { proxy: { status, nodes, instances, services }, refusal: undefined };
  } catch (error) {
    if (!(error instanceof SapwoodError) || error.code === "usage") throw error;
    return { proxy: undefined, refusal: error.code === "not-running" ? undefined : error.message };
  }
}
