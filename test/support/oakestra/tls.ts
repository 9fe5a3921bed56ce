// The session with the broker over TLS: certificates of both sides, made here, and what must be refused: all of it, or
// the first of each kind.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BROKER, BROKER_PORT, type HttpAnswer, OakestraCluster } from "./cluster.ts";
import { describeCluster } from "./describe-cluster.ts";

const NODE = "node-a";
const WORKER = "65a000000000000000000001";

/** Certificates of a broker, the daemon's files, and what is said. */
const BROKERS: readonly [string, string, Readonly<Record<string, string>>, RegExp][] = [
  ["an authority that did not make it", "broker", { MqttCa: "other-ca.crt" }, /certificate/i],
  ["the name of another host", "elsewhere", {}, /does not match certificate's altnames/],
  ["a time that is over", "expired", {}, /certificate has expired/],
];
const WORKERS: readonly [string, Readonly<Record<string, string>>][] = [
  ["the key of another one", { MqttKey: "broker.key" }],
  ["a certificate in its key's place", { MqttKey: "worker.crt" }],
  ["its key in the certificate's place", { MqttCert: "worker.key" }],
  ["a key that is cut", { MqttKey: "cut.key" }],
];

export function describeTls(refusals: "all" | "first"): void {
  describeCluster("the MQTT session over TLS", () => story(refusals === "all" ? Infinity : 1), "openssl");
}

function story(refusals: number): void {
  let folder: string;
  let cluster: OakestraCluster;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sapwood-tls-"));
    makeAuthority("ca");
    makeAuthority("other-ca");
    makeCertificate("broker", `subjectAltName=IP:${BROKER}`);
    makeCertificate("elsewhere", "subjectAltName=IP:192.0.2.99,DNS:broker.example");
    makeCertificate("expired", `subjectAltName=IP:${BROKER}`, "20200101000000Z", "20200102000000Z");
    makeCertificate("worker", "subjectAltName=IP:192.0.2.11");
    cluster = await OakestraCluster.open(1, brokerWith("broker"));
  });
  afterAll(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(BROKERS.slice(0, refusals))(
    "a broker's certificate with %s is refused",
    async (_what, broker, files, why) => {
      await restartBroker(broker);
      const answer = await registered(files);
      expect(answer.status).toBe(500);
      expect(answer.body).toMatch(why);
    },
  );

  test("a worker without certificate is refused by the broker, one without its files by itself [defect 38, remedy 15]", async () => {
    await restartBroker("broker");
    const refused = await registered({ MqttCert: "", MqttKey: "" });
    expect(refused.status).toBe(500);
    expect(refused.body).toMatch(/The MQTT broker 192\.0\.2\.1, port 10003, cannot be used: .*certificate required/);
    expect(cluster.brokerLog).toContain("peer did not return a certificate");
    const connections = () => cluster.brokerLog.split("New connection from").length;
    const before = connections();
    const missing = await registered({ MqttKey: "nowhere.key" });
    expect(missing).toMatchObject({ status: 500, body: expect.stringContaining("MqttKey: ") });
    expect(missing.body).toContain("nowhere.key cannot be read (ENOENT)");
    expect(connections()).toBe(before); // the broker was not even asked
  });

  test.each(WORKERS.slice(0, refusals))(
    "a worker with %s is refused, and nobody hears of a key [defect 38]",
    async (_what, files) => {
      const key = readFileSync(join(folder, "worker.key"), "utf8");
      writeFileSync(join(folder, "cut.key"), key.replace(/\n[^\n]+\n(-----END)/, "\n$1"));
      const { status, body } = await registered(files, ["Debug=true"]);
      expect([status, body]).toEqual([
        500,
        expect.stringMatching(/MqttCert \S+, MqttKey \S+, MqttCa \S+: cannot be used for TLS/),
      ]);
      cluster.expectNoSecret(body);
    },
  );

  test("with the right ones a worker is registered, and its log has no key [defect 38, measured 11]", async () => {
    expect(await registered({})).toEqual({ status: 200, body: "" });
    expect(cluster.violations()).toEqual([]);
    cluster.expectNoSecret();
  });

  /** Registers a daemon whose files are the right ones but for `files`, and ends it. */
  async function registered(
    files: Readonly<Record<string, string>>,
    environment: readonly string[] = [],
  ): Promise<HttpAnswer> {
    const names = { MqttCert: "worker.crt", MqttKey: "worker.key", MqttCa: "ca.crt", ...files };
    const paths = Object.entries(names).map(([field, name]) => [field, name === "" ? "" : join(folder, name)]);
    const daemon = await cluster.startNode(NODE, Object.fromEntries(paths), environment);
    const answer = await cluster.register(NODE, WORKER);
    daemon.kill("SIGTERM");
    expect((await daemon.ended).code).toBe(0);
    return answer;
  }

  async function restartBroker(certificate: string): Promise<void> {
    await cluster.killBroker();
    await cluster.startBroker(brokerWith(certificate));
  }

  /** The cluster manager comes in clear, on the same machine. */
  function brokerWith(certificate: string): string {
    return [
      "per_listener_settings true",
      `listener ${BROKER_PORT} ${BROKER}`,
      ...[`cafile ${join(folder, "ca.crt")}`, "require_certificate true", "use_identity_as_username true"],
      ...[`certfile ${join(folder, `${certificate}.crt`)}`, `keyfile ${join(folder, `${certificate}.key`)}`],
      `listener ${BROKER_PORT} 127.0.0.1`,
      "allow_anonymous true",
    ].join("\n");
  }

  function makeAuthority(name: string): void {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
    openssl("req", "-x509", ...key, "-out", `${name}.crt`, "-subj", `/CN=${name}`, "-days", "2");
  }

  function makeCertificate(name: string, extension: string, from?: string, to?: string): void {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
    openssl("req", "-new", ...key, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(join(folder, `${name}.ext`), `${extension}\n`);
    writeFileSync(join(folder, "index.txt"), "");
    const settings = [
      "[ca]",
      "default_ca=own",
      "[own]",
      "database=index.txt",
      "new_certs_dir=.",
      "policy=any",
      "rand_serial=yes",
    ];
    writeFileSync(
      join(folder, "ca.conf"),
      [...settings, "default_md=sha256", "[any]", "commonName=supplied"].join("\n"),
    );
    const times = from === undefined || to === undefined ? ["-days", "2"] : ["-startdate", from, "-enddate", to];
    openssl(
      ...["ca", "-config", "ca.conf", "-batch", "-notext", "-cert", "ca.crt", "-keyfile", "ca.key"],
      ...["-in", `${name}.csr`, "-out", `${name}.crt`, "-extfile", `${name}.ext`, ...times],
    );
  }

  function openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  }
}
