// What is said over MQTT, byte for byte where the cluster holds it to that.
import { expect, test } from "vitest";
import {
  addressChangedMessage,
  deployedMessage,
  interestRemoveMessage,
  jobOfTopic,
  jobTopic,
  nodeTopics,
  readSubnetResult,
  subnetRequest,
  tableQuery,
} from "../../../../../src/control/providers/oakestra/messages.ts";

const HOST = { address: "10.100.0.1", port: 50_103 };
const json = JSON.stringify;

test("topics of a worker and of a job [behaviour 3, behaviour 8]", () => {
  expect(nodeTopics("65a0")).toEqual({
    subnet: "nodes/65a0/net/subnet",
    subnetResult: "nodes/65a0/net/subnetwork/result",
    tableQuery: "nodes/65a0/net/tablequery/request",
    tableQueryResult: "nodes/65a0/net/tablequery/result",
    deployed: "nodes/65a0/net/service/deployed",
    addressChanged: "nodes/65a0/net/service/address-changed",
    interestRemove: "nodes/65a0/net/interest/remove",
  });
  expect(jobOfTopic(jobTopic("x.d.x1.d"))).toBe("x.d.x1.d");
});

test("the request for a subnet, and its reply under another name [behaviour 4]", () => {
  expect(json(subnetRequest())).toBe('{"METHOD":"GET"}');
  const reply = Buffer.from('{"address":"10.18.0.64","addressv6":"fc00::100"}');
  expect(readSubnetResult(reply)).toEqual({ address: "10.18.0.64", addressv6: "fc00::100" });
});

test("an instance that runs: its job's full name, the port as text, both namespace addresses [behaviour 5]", () => {
  const deployed = { job: "x.d.x1.d", number: 0, nsip: "10.18.0.66", nsipv6: "fc00::102" };
  expect(json(deployedMessage(deployed, HOST))).toBe(
    '{"appname":"x.d.x1.d","status":"DEPLOYED","instance_number":0,"nsip":"10.18.0.66","nsipv6":"fc00::102",' +
      '"host_port":"50103","host_ip":"10.100.0.1"}',
  );
});

test("a new address of the node has the job's full name [defect 23, remedy 13]", () => {
  expect(json(addressChangedMessage({ job: "x.d.x1.d", number: 2 }, HOST))).toBe(
    '{"appname":"x.d.x1.d","status":"","instance_number":2,"nsip":"","nsipv6":"","host_port":"50103","host_ip":"10.100.0.1"}',
  );
});

test("a table query has both keys, one of them empty [behaviour 6]", () => {
  expect(json(tableQuery({ sip: "10.30.0.1" }))).toBe('{"sname":"","sip":"10.30.0.1"}');
  expect(json(tableQuery({ sname: "x.d.x1.d" }))).toBe('{"sname":"x.d.x1.d","sip":""}');
});

test("an interest that ends [behaviour 8]", () => {
  expect(json(interestRemoveMessage("x.d.x1.d"))).toBe('{"appname":"x.d.x1.d"}');
});
