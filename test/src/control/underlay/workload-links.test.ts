import { beforeEach, expect, test } from "vitest";
import { WorkloadLinks } from "../../../../src/control/underlay/workload-links.ts";

const [FIRST, SECOND, OTHER] = ["10.18.3.1", "10.18.3.2", "10.21.3.1"];
const ALL = [FIRST, SECOND, OTHER];
const TUN = "sapwood0";

let told: string[];
let links: WorkloadLinks;

beforeEach(() => {
  told = [];
  links = new WorkloadLinks({
    tell: ({ kind, subject, message }) => void told.push(`${kind} ${subject}: ${message}`),
    end: (subject) => void told.push(`recovered ${subject}`),
  });
});

/** What is told when the routes lead there. */
function look(linkOf: Readonly<Record<string, string>>, workloads: readonly string[] = ALL): string[] {
  told = [];
  const nearLinksTo = (addresses: readonly string[]) => new Set(addresses.flatMap((one) => linkOf[one] ?? []));
  links.look({ nearLinksTo }, workloads, TUN);
  return told;
}

const WELL = { [FIRST]: "br0", [SECOND]: "br0", [OTHER]: "veth1" };

test("a bridge that goes is told once for all its workloads, and that it is back", () => {
  expect(look(WELL)).toEqual([]);
  const message = "No route leads to workloads of this node any more (10.18.3.1 and 1 more); br0 led there before.";
  expect(look({ [OTHER]: "veth1" })).toEqual([`workloads-unreachable br0: ${message}`]);
  expect(look({ [OTHER]: "veth1" })).toEqual([]);
  expect(look({ ...WELL, [SECOND]: TUN })).toEqual([]);
  expect(look(WELL)).toEqual(["recovered br0"]);
  expect(look(WELL)).toEqual([]);
});

test("workloads that no route ever led to, or that left the tables, are nothing to tell", () => {
  expect(look({})).toEqual([]);
  expect(look(WELL)).toEqual([]);
  expect(look({ [FIRST]: "br0", [SECOND]: "br0" }, [FIRST, SECOND])).toEqual([]);
  expect(look({ [FIRST]: "br0", [SECOND]: "br0" })).toEqual([]);
});

test("workloads that are reached another way now are well", () => {
  look(WELL);
  expect(look({ [FIRST]: "br1", [SECOND]: "br1", [OTHER]: "veth1" })).toEqual([]);
});
