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
    ],
    timeout: 60_000,
  });
  context.setDefaultTimeout(20_000);
  // Whatever a page throws fails the test that opened it.
  const faults = [];
  context.on("page", (page) => page.on("pageerror", (fault) => faults.push(String(fault))));

  async function open(url, prepare) {
    const page = await context.newPage();
    if (prepare) await page.addInitScript(prepare);
    await page.goto(url);
    return page;
  }

  async function renew() {
    await Promise.all(context.pages().slice(1).map((page) => page.close()));
    await context.clearCookies();
    // What sites keep themselves outlives cookies.
    for (const site of ["shop", "news", "stranger"]) {
      const page = await open(`https://${site}.test/page/client`);
      await page.evaluate(() => localStorage.clear());
      await page.close();
    }
    return faults.splice(0);
  }

  async function close() {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }

  return { context, open, renew, close };
}
