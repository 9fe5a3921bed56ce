// A worker node is switched over to sapwood and back, by the commands of docs/oakestra.md. The node has the machine's files
// with a layer of its own above them, and no systemd: the test does what the unit says. The tests are steps of one story.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { eventually } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { BROKER, BROKER_PORT, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";

const NODE = "node-a";
const WORKER = "65a000000000000000000001";
const UNIT = "/etc/systemd/system/netmanager.service";
const LOG = "/var/log/oakestra/netmanager.log";
const STARTUP = `STARTUP_CONFIG: Node=192.0.2.11:50103 | Cluster=${BROKER}:${BROKER_PORT}`;
/** As NetManager's own installation has them. */
const NETCFG = { NodePublicAddress: "192.0.2.11", NodePublicPort: "50103", ClusterUrl: "0.0.0.0", Debug: false };
const LAYERS = `
  mount -t tmpfs tmpfs /mnt
  for folder in /etc /var $(readlink -f /bin); do
    mkdir -p /mnt$folder/upper /mnt$folder/work
    mount -t overlay -o lowerdir=$folder,upperdir=/mnt$folder/upper,workdir=/mnt$folder/work overlay $folder
  done`;

const page = readFileSync(new URL("../../docs/oakestra.md", import.meta.url), "utf8");
const [, block = ""] = /## Switch a node over, and back\n```\n([^`]+)```/.exec(page) ?? [];

describeCluster("a worker node that is switched over to sapwood, and back", () => {
  let cluster: OakestraCluster;
  let shell: SandboxProgram;

  beforeAll(async () => {
    cluster = await OakestraCluster.open(1);
    shell = cluster.lab.sandbox.start(["unshare", "--mount", "sh"], NODE);
    await expectDone(LAYERS);
    await write("/bin/sapwood", `#!/bin/sh\nexec '${process.execPath}' '${builtFile("src/main.js")}' "$@"\n`);
    await write("/bin/NetManager", "#!/bin/sh\necho v0.4.411\n");
    await write(UNIT, "[Service]\nExecStart=/bin/NetManager\n");
    await expectDone("chmod +x /bin/sapwood /bin/NetManager");
    await write("/etc/netmanager/netcfg.json", JSON.stringify({ ...NETCFG, ClusterMqttPort: String(BROKER_PORT) }));
  });
  afterAll(() => cluster?.close());

  test("the commands of the page install it, after a question, and its unit starts it", async () => {
    const [install = "", ...rest] = block.trim().split("\n");
    expect(rest).toEqual(["systemctl daemon-reload && systemctl restart netmanager", "systemctl restart nodeengine"]);
    const refused = await run(install);
    expect(refused).toEqual({ status: 2, text: expect.stringContaining("would have to make place") });
    expect(await expectDone("NetManager version")).toBe("v0.4.411\n");
    const installed = await expectDone(`${install} --yes`);
    expect(installed).toContain("/bin/NetManager written");
    await startUnit();
    expect((await post("register", { client_id: WORKER, cluster_address: "192.0.2.77" })).slice(-3)).toBe("500");
    expect(await post("register", { client_id: WORKER, cluster_address: BROKER })).toBe("200");
  });

  test("NetManager version and status tell what runs and which cluster it was registered with last", async () => {
    expect(await expectDone("NetManager version")).toBe(await expectDone("sapwood --version"));
    const { status, text } = await run("NetManager status");
    expect(status).toBe(0);
    const lines = text.split("\n").filter((line) => line.includes("STARTUP_CONFIG"));
    expect(lines).toEqual([expect.stringContaining(STARTUP)]);
    expect(text).toContain(`worker ${WORKER}, broker ${BROKER} connected`);
    expect(text).toContain("left out of what the cluster said: 0 odd records, 0 odd messages");
  });

  test("NetManager logs shows the log and follows it, also when it is replaced", async () => {
    await expectDone("touch /run/followed; NetManager logs > /run/followed 2>&1 & echo $! > /run/follower");
    const followed = async (text: string) => (await expectDone("cat /run/followed")).includes(text);
    await eventually("what was logged before", () => followed(STARTUP));
    expect(await post("container/deploy", { serviceName: "first.of.all" })).toMatch(/500$/);
    await eventually("what is logged now", () => followed("first.of.all"));
    await expectDone(`mv ${LOG} ${LOG}.1; echo 'of another day' > ${LOG}`); // logrotate
    await eventually("what the next file has", () => followed("of another day"));
    await expectDone(`mv ${LOG}.1 ${LOG}; kill $(cat /run/follower)`);
  });

  test("the commands that the page names show this node", async () => {
    for (const command of ["status", "services", "instances", "flows", "counters"]) {
      expect(page).toContain(`\`${command}\``.replace("`status`", "`sapwood status`"));
      expect(await expectDone(`sapwood ${command}`)).not.toBe("");
    }
    expect(await expectDone("sapwood status")).toContain("goProxyTun");
    expect(await expectDone("sapwood explain 10.30.0.10:80/tcp || true")).toContain("10.30.0.10");
    expect(await expectDone("sapwood check /var/lib/sapwood/netmanager/node.json")).not.toBe("");
  });

  test("the way back leaves what was there before", async () => {
    expect(page).toContain("To go back: `sapwood uninstall-netmanager`, and the same two lines.");
    await expectDone("sapwood uninstall-netmanager");
    await expectDone("kill $(cat /run/daemon); while kill -0 $(cat /run/daemon) 2>/dev/null; do sleep 0.1; done");
    expect(await expectDone("NetManager version")).toBe("v0.4.411\n");
    expect(await expectDone(`cat ${UNIT}`)).toBe("[Service]\nExecStart=/bin/NetManager\n");
    expect(await expectDone("ip -br link; ls /bin/*.before-sapwood || true")).not.toMatch(/goProxy|before-sapwood\n/);
  });

  /** What `systemctl restart netmanager` does. */
  async function startUnit(): Promise<void> {
    const unit = await expectDone(`cat ${UNIT}`);
    const [, program] = /^ExecStart=(\S+)$/m.exec(unit) ?? [];
    const [, log] = /^StandardOutput=append:(\S+)$/m.exec(unit) ?? [];
    expect(log).toBe(LOG);
    await expectDone(`touch ${log}; ${program} >> ${log} 2>&1 & echo $! > /run/daemon`);
    await eventually("the daemon", async () => (await expectDone(`cat ${log}`)).includes("sapwood netmanager ready"));
  }

  /** As the NodeEngine does it; the answer's body and status. */
  function post(route: string, body: object): Promise<string> {
    const socket = "/etc/netmanager/netmanager.sock";
    const options = `-sS -m 20 --unix-socket ${socket} -w '%{http_code}' -H 'Content-Type: application/json'`;
    return expectDone(`curl ${options} -d '${JSON.stringify(body)}' http://localhost:0/${route}`);
  }

  async function write(path: string, text: string): Promise<void> {
    await expectDone(`mkdir -p $(dirname ${path}); cat > ${path} <<'END'\n${text.replace(/\n$/, "")}\nEND`);
  }

  async function expectDone(commands: string): Promise<string> {
    const { status, text } = await run(commands);
    expect(status, text).toBe(0);
    return text;
  }

  /** Runs commands in the node's shell; their exit status and all that they print. */
  async function run(commands: string): Promise<{ readonly status: number; readonly text: string }> {
    const seen = shell.stdout.length;
    shell.write(`{ ${commands}\n} 2>&1 < /dev/null; echo "done: $?"\n`);
    const done = /done: (\d+)\n$/;
    await shell.until(commands, ({ stdout }) => done.test(stdout.slice(seen)));
    const text = shell.stdout.slice(seen);
    return { status: Number(done.exec(text)?.[1]), text: text.replace(done, "") };
  }
});
