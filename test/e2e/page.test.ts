// The live page in a real browser, beside a node of the lab. The tests are the steps of one story: requests, a policy
// that is swapped, a node that dies, an instance that stops, a policy that traps, a browser that has the token.
//
// SAPWOOD_SCREENSHOT=write writes docs/images/page.png anew.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { DEMO, SERVICE_A, SERVICE_B } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { PolicyDetailReport } from "../../src/model/module-reports.ts";
import type { InstanceReport } from "../../src/model/reports.ts";
import { CHROMIUM, type LabBrowser, openBrowser } from "../support/browser.ts";
import { turning } from "../support/hostile-policies.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { assemble } from "../support/wat.ts";

const NODE = "node-a";
const HEALTH = { tcp: 80, interval: 500, timeout: 500, healthy: 2, unhealthy: 3 };
const SERVICES = [SERVICE_A, { ...SERVICE_B, health: HEALTH }];
/** New connections are refused, those that are there go on. */
const STOPPED = `table inet stopped {
chain input {
type filter hook input priority 0;
tcp dport 80 tcp flags & (syn | ack) == syn reject with tcp reset
}
}`;
const LISTEN = "127.0.0.1:9150";
const ADDRESS = `http://${LISTEN}/`;
const TOKEN = "correct-horse-battery";
const TOKEN_FILE = `/run/sapwood/${NODE}/page-token`;
const SCREENSHOT = fileURLToPath(new URL("../../docs/images/page.png", import.meta.url));
const TIMEOUT_MS = 60_000;

describeLab(
  "the live page",
  () => {
    let lab: Lab;
    let browser: LabBrowser;
    let page: Page;
    const complaints: string[] = [];
    const folder = mkdtempSync(join(tmpdir(), "sapwood-page-"));

    beforeAll(async () => {
      lab = await openLab({ ...DEMO, services: SERVICES, settings: { observe: { listen: LISTEN } } });
      browser = await openBrowser(lab, NODE);
      page = await newPage();
    });
    afterAll(async () => {
      await browser?.close();
      await lab?.close();
      rmSync(folder, { recursive: true });
    });

    test("says that all is well, and shows the nodes with their round trips", async () => {
      await page.goto(ADDRESS);
      await seen(page.getByRole("heading", { name: "All is well" }));
      await seen(page.getByRole("link", { name: /^node-d answers, round trip \d/ }));
      await seen(page.getByText("3 of 3"));
    });

    test("shows requests to a service address with the share of each instance", async () => {
      lab.startClient("a1", { kind: "load", addresses: [], held: Array<string>(9).fill("10.30.0.2"), pauseMs: 20 });
      const service = page.getByRole("article").filter({ has: page.getByRole("heading", { name: "B", exact: true }) });
      await seen(service.getByText("9 live"));
      const shares = (await lab.report<readonly InstanceReport[]>(NODE, "instances"))
        .filter(({ service: name, flows }) => name === "B" && flows > 0)
        .map(({ number, flows }) => ({ number, flows, text: `instance ${number} ${Math.round((100 * flows) / 9)} %` }));
      expect(shares.length).toBeGreaterThan(1);
      const label = `Shares of B: ${shares.map(({ text }) => text).join(", ")}`;
      await seen(service.getByRole("img", { name: label, exact: true }));
      await seen(page.getByRole("link", { name: /^node-[bcd] answers, .* [1-9][\d.]* k?\/s packets/ }));
      await seen(page.getByRole("img", { name: /To other nodes: [1-9]/ }));

      const [first] = shares;
      await page.goto(`${ADDRESS}#flows?filter=B%23${first?.number}+established`);
      await seen(page.getByText(`1–${first?.flows} of ${first?.flows} flows`));
      await page.getByRole("searchbox").fill("no-such-thing");
      await seen(page.getByText("No flows"));
    });

    test("shows why packets are dropped, and what to do", async () => {
      await lab.sandbox.run(["ping", "-c", "3", "-i", "0.2", "-W", "1", "10.30.77.77"], "a1");
      await page.getByRole("link", { name: "Drops", exact: true }).click();
      const row = page.getByRole("row", { name: /unknownAddress/ });
      await seen(row.getByText(/add the service/));
    });

    test("shows a policy that is swapped", async () => {
      const module = builtFile("wasm/policies/random.wasm");
      await page.getByRole("link", { name: "Policies", exact: true }).click();
      const policy = page
        .getByRole("article")
        .filter({ has: page.getByRole("heading", { name: "round-robin", exact: true }) });
      await seen(policy.getByText("built-in"));
      const { code, stderr } = await lab.sapwood(NODE, ["policy", "load", "round-robin", module]);
      expect(code, stderr).toBe(0);
      const loaded = await lab.report<PolicyDetailReport>(NODE, "policies/round-robin");
      await seen(policy.getByText((loaded.module?.sha256 ?? "").slice(0, 10)));
      await seen(policy.getByText(/random\.wasm/));
    });

    test("shows a node that dies in red, and in words", async () => {
      await page.goto(`${ADDRESS}#overview`);
      if (process.env.SAPWOOD_SCREENSHOT === "write") await writeScreenshot();
      lab.proxy("node-d").kill("SIGKILL");
      await seen(page.getByRole("heading", { name: "Needs a look" }));
      await seen(page.getByRole("link", { name: "Node node-d does not answer.", exact: true }));
      await seen(page.getByRole("link", { name: /^node-d is lost/ }));
      const circle = "document.querySelector('.place.lost circle:not(.halo)')";
      const red = await page.evaluate(`getComputedStyle(${circle}).fill`);
      expect(red).toBe("rgb(179, 38, 30)");
      await lab.startProxy("node-d");
      await seen(page.getByRole("heading", { name: "All is well" }));
    });

    test("shows an instance that takes no connections, and that it takes them again", async () => {
      await lab.sandbox.expect(["nft", STOPPED], "b2");
      await seen(page.getByRole("link", { name: /^Instance B 2 is unhealthy: / }));
      await lab.sandbox.expect(["nft", "delete table inet stopped"], "b2");
      await seen(page.getByRole("heading", { name: "All is well" }));
    });

    test("shows a policy that traps, and that it was rolled back", async () => {
      const module = join(folder, "traps.wasm");
      writeFileSync(module, assemble(turning({ choose: "(unreachable)" })));
      expect(await lab.sapwood(NODE, ["policy", "load", "closest", module])).toMatchObject({ code: 0 });
      await lab.ask("a1", { kind: "connections", address: "10.30.0.1", count: 60, concurrency: 4 });
      await seen(page.getByRole("link", { name: /^The policy closest failed: .*unreachable/ }));
      expect(await lab.sapwood(NODE, ["policy", "rollback", "closest"])).toMatchObject({ code: 0 });
      await seen(page.getByRole("heading", { name: "All is well" }));
    });

    test("fits a narrow and dark screen, and is operated by keys alone", async () => {
      await page.emulateMedia({ colorScheme: "dark" });
      await page.setViewportSize({ width: 360, height: 740 });
      const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      expect(overflow).toBeLessThanOrEqual(0);
      await page.getByRole("link", { name: "Services", exact: true }).focus();
      await page.keyboard.press("Enter");
      await seen(page.getByRole("heading", { name: "Services" }));
      await eventually("the filter to have the focus", async () => {
        await page.keyboard.press("/"); // nobody listens before the view is drawn
        return await page.evaluate<boolean>("document.activeElement.matches('input[type=search]')");
      });
      await page.keyboard.type("10.30.1.5");
      await seen(page.getByText("1–1 of 1 services"));
      await seen(page.getByRole("heading", { name: "A", exact: true }));
    });

    test("says that it is not connected while the proxy is away, and comes back by itself", async () => {
      expect(complaints).toEqual([]);
      await lab.proxy(NODE).stop();
      await seen(page.getByRole("heading", { name: "Not connected" }));
      lab.sandbox.writeProgram(TOKEN_FILE, `${TOKEN}\n`);
      await lab.sandbox.expect(["chmod", "600", TOKEN_FILE]);
      await lab.startProxy(NODE, undefined, { observe: { listen: LISTEN, token: TOKEN_FILE } });
      await seen(page.getByRole("heading", { name: "This node asks for its token" }));
    });

    test("with the token, and not with another one, policies are rolled back and instances drained", async () => {
      const other = await newPage();
      other.on("dialog", (dialog) => void dialog.accept());
      await other.goto(`${ADDRESS}#policies`);
      await other.getByLabel("Token").fill("wrong-horse-battery");
      await other.getByRole("button", { name: "Look" }).click();
      await seen(other.getByText("This is not the token of the node."));
      await other.getByLabel("Token").fill(TOKEN);
      await other.getByRole("button", { name: "Look" }).click();
      const policy = other.getByRole("article").filter({ has: other.getByRole("heading", { name: "round-robin" }) });
      await policy.getByRole("button", { name: /^Roll back to / }).click();
      await seen(other.getByText("The policy round-robin is the one before again."));
      expect((await lab.report<PolicyDetailReport>(NODE, "policies/round-robin")).module?.source).toBe("built-in");
      await other.getByLabel("Module for closest").setInputFiles(builtFile("src/main.js"));
      await seen(other.locator(".outcome .bad")); // it is no module

      await other.getByRole("link", { name: "Nodes", exact: true }).click();
      const drained = (): Promise<readonly InstanceReport[]> =>
        lab.report<readonly InstanceReport[]>(NODE, "instances");
      await other
        .getByRole("row", { name: /^node-d/ })
        .getByRole("button", { name: "Drain" })
        .click();
      await seen(other.getByText("node-d takes no new flows."));
      expect((await drained()).filter(({ draining }) => draining)).toMatchObject([{ service: "B", node: "node-d" }]);
      await eventually("new flows to pass it by", async () => {
        const job = { kind: "connections", address: "10.30.0.2", count: 6, concurrency: 1 } as const;
        const { byInstance } = await lab.ask<ConnectionsResult>("a1", job);
        return byInstance["B 3"] === undefined;
      });
      expect(other.url()).not.toContain(TOKEN);
    });

    async function newPage(): Promise<Page> {
      const made = await browser.browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
      made.setDefaultTimeout(TIMEOUT_MS);
      made.on("pageerror", (error) => complaints.push(String(error)));
      made.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
      });
      return made;
    }

    async function writeScreenshot(): Promise<void> {
      mkdirSync(dirname(SCREENSHOT), { recursive: true });
      await page.mouse.move(0, 0);
      await page.waitForTimeout(30_000); // some throughput to see
      await page.screenshot({ path: SCREENSHOT });
    }
  },
  CHROMIUM,
  "nft",
);

async function seen(place: Locator): Promise<void> {
  await place.first().waitFor({ timeout: TIMEOUT_MS });
}
