// The operator's own file of policies, beside the two of NetManager's. Oakestra hands out addresses for round robin alone
// today; this file says which of them stand for another policy here. An address that the cluster hands out for a policy
// by name keeps that one.

import { existsSync } from "node:fs";
import { parse } from "yaml";
import * as z from "zod";
import { reasonOf, SapwoodError } from "../../../base/errors.ts";
import { isPolicyName, POLICY_NAME_RULE, policyName } from "../../../model/policy-names.ts";
import { contains, type Prefix, parseAddress, parsePrefix } from "../../../net/address.ts";
import { readTextFile } from "../../../sys/user-file.ts";
import { isJobName } from "./messages.ts";

export interface PolicyFile {
  /** Files of policies of one's own, by name. */
  readonly modules: Readonly<Record<string, string>>;
  /** How often round trips to other nodes are measured, as the configuration has it; undefined = never. */
  readonly probe: string | undefined;
  /** What a round-robin address of a job stands for here; undefined = for just that. */
  policyOf(job: string, address: string): string | undefined;
}

const policy = z
  .string("expected the name of a policy")
  .transform(policyName)
  .refine(isPolicyName, `expected ${POLICY_NAME_RULE}`);
const JOB_NAME = "expected a service's full name (appname.appns.servicename.servicens)";

const schema = z.strictObject({
  services: z.record(z.string().refine(isJobName, JOB_NAME), policy).default({}),
  prefixes: z.record(z.string(), policy).default({}),
  modules: z.record(z.string().refine(isPolicyName, `expected ${POLICY_NAME_RULE}`), z.string()).default({}),
  probe: z.string("expected a duration, 10s say").optional(),
});

/** Without a file nothing is bound. Throws config-unreadable or config-invalid. */
export function loadPolicyFile(path: string): PolicyFile {
  return parsePolicyFile(existsSync(path) ? readTextFile(path) : "{}", path);
}

/** `path` is what errors call the text. */
export function parsePolicyFile(content: string, path: string): PolicyFile {
  const invalid = (lines: readonly string[]) =>
    new SapwoodError("config-invalid", lines.map((line) => `${path}: ${line}`).join("\n"));
  let found: unknown;
  try {
    found = parse(content) ?? {};
  } catch (error) {
    const [line = ""] = reasonOf(error).split("\n");
    throw invalid([`expected YAML or JSON; found an error: ${line}`]);
  }
  const parsed = schema.safeParse(found);
  if (!parsed.success) {
    throw invalid(
      parsed.error.issues.map((issue) => [issue.path.join("."), sentenceOf(issue)].filter(Boolean).join(": ")),
    );
  }
  const { services, prefixes, modules, probe } = parsed.data;
  const bound: { readonly prefix: Prefix; readonly policy: string }[] = [];
  for (const [text, name] of Object.entries(prefixes)) {
    try {
      bound.push({ prefix: parsePrefix(text), policy: name });
    } catch (error) {
      throw invalid([`prefixes.${text}: ${reasonOf(error)}`]);
    }
  }
  const longestFirst = bound.sort((a, b) => b.prefix.length - a.prefix.length);
  const byService = new Map(Object.entries(services));
  return {
    modules,
    probe,
    policyOf: (job, address) => {
      const bytes = parseAddress(address);
      const binding = longestFirst.find(({ prefix }) => bytes !== undefined && contains(prefix, bytes));
      return byService.get(job) ?? binding?.policy;
    },
  };
}

/** A key that is not as expected has its own sentence inside. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  return issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
}
