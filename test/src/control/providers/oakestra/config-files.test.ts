// The two files of NetManager, with what is found of them in the field.
import { describe, expect, test } from "vitest";
import { loadNetcfg, parseNetcfg } from "../../../../../src/control/providers/oakestra/netcfg.ts";
import { loadPolicyFile } from "../../../../../src/control/providers/oakestra/policy-file.ts";
import { loadTuncfg, parseTuncfg } from "../../../../../src/control/providers/oakestra/tuncfg.ts";

const SHIPPED = `{
  "NodePublicAddress": "0.0.0.0", "NodePublicPort": "50103", "ClusterUrl": "0.0.0.0", "ClusterMqttPort": "10003",
  "DefaultInterface": "", "Debug": false, "PublicIPNetworking": false, "MqttCert": "", "MqttKey": ""
}`;
const LEAST = '"NodePublicAddress": "192.0.2.1", "NodePublicPort": "50103", "ClusterMqttPort": "10003"';

test.each([
  ["netcfg.json", (path: string) => loadNetcfg(path, {})],
  ["tuncfg.json", (path: string) => loadTuncfg(path, () => {})],
  ["policies.yaml", loadPolicyFile],
])("a device in the place of %s is refused, and not read without end", (_name, load) => {
  expect(() => load("/dev/zero")).toThrow(expect.objectContaining({ code: "config-unreadable" }));
});

describe("netcfg.json", () => {
  const read = (text: string, env: NodeJS.ProcessEnv = {}) => parseNetcfg(text, "netcfg.json", env);

  test("the shipped one", () => {
    expect(read(SHIPPED)).toEqual({
      publicAddress: "0.0.0.0",
      publicPort: 50103,
      clusterAddress: "0.0.0.0",
      clusterMqttPort: 10003,
      defaultInterface: "",
      debug: false,
      asksPublicAddress: false,
      tap: "bridge",
      tls: undefined,
    });
  });

  test.each([
    ["keys in any case", '{ "nodepublicaddress": "192.0.2.1", "NODEPUBLICPORT": "50103", "clusterMQTTport": "10003" }'],
    [
      "numbers without quotes",
      '{ "NodePublicAddress": "192.0.2.1", "NodePublicPort": 50103, "ClusterMqttPort": 10003 }',
    ],
    ["a trailing comma", `{ ${LEAST}, }`],
    ["a comment", `# of this node\n{ ${LEAST} } # the end`],
    ["unknown keys and null", `{ ${LEAST}, "Colour": 3, "MqttCert": null }`],
    ["tabs", `{\n\t${LEAST.replaceAll(", ", ",\n\t")}\n}`],
    ["a key twice, of which the last one counts", `{ "NodePublicAddress": "192.0.2.7", ${LEAST} }`],
    ["YAML", "NodePublicAddress: 192.0.2.1\nNodePublicPort: 50103\nClusterMqttPort: 10003\n"],
  ])("is read with %s [behaviour 15]", (_what, text) => {
    expect(read(text)).toMatchObject({ publicAddress: "192.0.2.1", publicPort: 50103, clusterMqttPort: 10003 });
  });

  test.each(["", "{}", "# nothing", '{"NodePublicAddress": "", "NodePublicPort": "", "ClusterMqttPort": null}'])(
    "what %j leaves out is as in the shipped file [behaviour 15]",
    (text) => expect(read(text)).toEqual({ ...read(SHIPPED), clusterAddress: "" }),
  );

  test("yes and on are true, as in the YAML of Go's loader [behaviour 15]", () => {
    const text = "Debug: yes\nPublicIPNetworking: on\n";
    expect(read(text)).toMatchObject({ debug: true, asksPublicAddress: true });
  });

  test.each([
    ["a flag as text", `{ ${LEAST}, "Debug": "true" }`, 'netcfg.json: Debug: expected true or false, found "true"'],
    ["a list", "[]", "netcfg.json: expected fields (NodePublicAddress, NodePublicPort"],
    [
      "a flag that holds itself",
      `{ ${LEAST}, "Debug": &a [*a] }`,
      "netcfg.json: Debug: expected true or false, found a list",
    ],
    ["a comment of another language", `// mine\n{ ${LEAST} }`, "netcfg.json: expected YAML or JSON; found an error: "],
    [
      "no port",
      '{ "NodePublicPort": "tunnel" }',
      'netcfg.json: NodePublicPort: expected a port from 1 to 65535, found "tunnel"',
    ],
    [
      "a name as address",
      `{ ${LEAST.replace("192.0.2.1", "worker")} }`,
      'netcfg.json: NodePublicAddress: expected an IPv4 or IPv6 address, or 0.0.0.0 to find it out, found "worker"',
    ],
  ])("is refused with %s", (_what, text, sentence) => {
    expect(() => read(text)).toThrow(sentence);
  });

  test("each of the nine variables comes before the file [behaviour 15]", () => {
    const env = {
      ...{ NodePublicAddress: "192.0.2.9", NodePublicPort: "6000", ClusterUrl: "broker", ClusterMqttPort: "1883" },
      ...{ DefaultInterface: "eth7", Debug: "t", PublicIPNetworking: "1", MqttCert: "/c", MqttKey: "/k" },
    };
    expect(read(SHIPPED, env)).toEqual({
      ...{ publicAddress: "192.0.2.9", publicPort: 6000, clusterAddress: "broker", clusterMqttPort: 1883 },
      ...{ defaultInterface: "eth7", debug: true, asksPublicAddress: true, tap: "bridge" },
      tls: { cert: "/c", key: "/k", ca: "" },
    });
  });

  test("variables that are empty, and flags that cannot be read, leave the file in force [behaviour 15]", () => {
    const given = `{
      "NodePublicAddress": "192.0.2.9", "NodePublicPort": "6000", "ClusterUrl": "broker", "ClusterMqttPort": "1883",
      "DefaultInterface": "eth7", "Debug": true, "PublicIPNetworking": true, "MqttCert": "/c", "MqttKey": "/k"
    }`;
    const empty = Object.fromEntries(Object.keys(JSON.parse(SHIPPED)).map((name) => [name, ""]));
    expect(Object.keys(empty)).toHaveLength(9);
    expect(read(given, empty)).toEqual(read(given));
    expect(read(given, { Debug: "no", PublicIPNetworking: "y" })).toEqual(read(given));
    expect(read(SHIPPED, { Debug: "yes", PublicIPNetworking: "on" })).toEqual(read(SHIPPED));
    const refused = { Debug: "F", PublicIPNetworking: "0" };
    expect(read(given, refused)).toMatchObject({ debug: false, asksPublicAddress: false });
  });

  test("a certificate, or an authority alone, means TLS [measured 11]", () => {
    expect(read(`{ ${LEAST}, "MqttCert": "/c", "MqttKey": "/k" }`).tls).toEqual({ cert: "/c", key: "/k", ca: "" });
    expect(read(`{ ${LEAST}, "MqttCa": "/ca" }`).tls).toEqual({ cert: "", key: "", ca: "/ca" });
  });
});

describe("tuncfg.json", () => {
  const read = (text: string) => {
    const told: string[] = [];
    return { ...parseTuncfg(text, "tuncfg.json", (sentence) => told.push(sentence)), told };
  };
  const DEFAULTS = { device: "goProxyTun", port: 50103, mtu: 1450, ranges: ["10.30.0.0/16", "fdff::/16"], told: [] };

  test("the shipped one, whose IPv6 range has no service address [behaviour 15, defect 16, measured 10, remedy 8]", () => {
    const shipped = {
      ...{ HostTunnelDeviceName: "goProxyTun", TunnelIP: "10.19.1.254", ProxySubnetwork: "10.30.0.0", MTUsize: 1450 },
      ...{ ProxySubnetworkMask: "255.255.0.0", TunnelPort: 50103, TunNetIPv6: "fcef::dead:beef" },
      ...{ ProxySubnetworkIPv6: "fcef::", ProxySubnetworkIPv6Prefix: 21 },
    };
    expect(read(JSON.stringify(shipped))).toEqual(DEFAULTS);
  });

  test("an empty one, and names of older releases, which are left alone [behaviour 15]", () => {
    expect(read("{}")).toEqual(DEFAULTS);
    expect(read('{"HostTUNDeviceName": "tun9", "TunNetIP": "10.0.0.1", "Mtusize": 1400}')).toEqual({
      ...DEFAULTS,
      mtu: 1400,
    });
  });

  test("a value of the wrong type is told, and leaves the others in force", () => {
    expect(read('{"TunnelPort": "50103", "MTUsize": 1300, "ProxySubnetworkMask": "255.0.255.0"}')).toEqual({
      ...DEFAULTS,
      mtu: 1300,
      told: [
        'tuncfg.json: ProxySubnetworkMask cannot be "255.0.255.0"; the default 255.255.0.0 is used',
        'tuncfg.json: TunnelPort cannot be "50103"; the default 50103 is used',
      ],
    });
  });

  test("ranges of one's own, the IPv4 one also with host bits [defect 26, remedy 14]", () => {
    const text =
      '{"ProxySubnetwork":"10.30.7.9","ProxySubnetworkMask":"255.255.128.0","ProxySubnetworkIPv6":"fdff:2000::","ProxySubnetworkIPv6Prefix":21}';
    expect(read(text).ranges).toEqual(["10.30.0.0/17", "fdff:2000::/21"]);
  });

  test.each(["[]", "{", ""])("%j is told", (text) => {
    expect(read(text)).toEqual({ ...DEFAULTS, told: ["tuncfg.json: expected a JSON object; the defaults are used"] });
  });
});
