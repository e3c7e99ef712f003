// A Chromium whose every host name is the tests' own server, with or without cookies of other sites.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const BLOCK_OTHERS = 1, ALLOW_ALL = 0;

export async function openBrowser(port, { blocked }) {
  const folder = mkdtempSync(join(tmpdir(), "pinion-browser-"));
  mkdirSync(join(folder, "Default"));
  const profile = { cookie_controls_mode: blocked ? BLOCK_OTHERS : ALLOW_ALL, block_third_party_cookies: blocked };
  writeFileSync(join(folder, "Default", "Preferences"), JSON.stringify({ profile }));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CHROMIUM,
    ignoreHTTPSErrors: true,
    args: [
      `--host-resolver-rules=MAP * 127.0.0.1:${port}`,
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--disable-component-update",
      "--no-proxy-server",
      // On a machine that is busy with other things, Chromium takes its graphics for hung and ends.
      "--disable-gpu",
      "--disable-gpu-watchdog",
    ],
    timeout: 180_000,
  });
  context.setDefaultTimeout(90_000);
  // Whatever a page throws fails the test that opened it.
  const faults = [];
  context.on("page", (page) => page.on("pageerror", (fault) => faults.push(String(fault))));

  async function open(url, prepare) {
    const page = await context.newPage();
    if (prepare) await page.addInitScript(prepare);
    await page.goto(url);
    return page;
  }

  // One page stays, without which the browser would end.
  const [blank] = context.pages();
  const session = await context.newCDPSession(blank);

  // A new visitor.
  async function renew() {
    await Promise.all(context.pages().filter((page) => page !== blank).map((page) => page.close()));
    await context.clearCookies();
    for (const site of ["shop", "news", "stranger"]) {
      const origin = `https://${site}.test`;
      await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "local_storage" });
    }
    faults.length = 0;
  }

  async function close() {
    await context.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  return { context, faults, open, renew, close };
}
