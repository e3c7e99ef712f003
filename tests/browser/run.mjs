// The iframe and the tag in a real browser. PINION is where the server listens, CHROMIUM the browser's program;
// SCREENSHOT a file for a picture of a page with the tag. Started by `cargo test` (tests/it/browser.rs).

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { openBrowser } from "./browser.mjs";
import { openSites } from "./sites.mjs";

// A browser that hangs must not hang whoever waits for this.
setTimeout(() => { console.error("took too long"); process.exit(1); }, 540_000).unref();

const SHOP = "https://shop.test/page/", NEWS = "https://news.test/page/", STRANGER = "https://stranger.test/page/";
const PARTNER = "https://partner.test";

const sites = await openSites(process.env.PINION);
after(() => sites.close());

// Both kinds of browser, one after the other; each case begins as a new visitor.
function browsing(title, blocked, cases) {
  describe(title, () => {
    let browser;
    before(async () => { browser = await openBrowser(sites.port, { blocked }); });
    after(() => browser.close());
    beforeEach(async () => {
      await browser.renew();
      sites.fired.length = sites.calls.length = 0;
    });
    const check = (name, work) => test(name, { timeout: 180_000 }, async () => {
      await work(browser);
      assert.deepEqual(browser.faults, [], "pages threw");
    });
    cases(check);
  });
}

async function until(what, holds) {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await holds();
    if (value) return value;
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const firedAt = (path) => sites.fired.filter(({ url }) => url.startsWith(path));
const awaitFired = (path, count = 1) => until(path, () => firedAt(path).length >= count && firedAt(path));
const eventCalls = () => sites.calls.filter(({ method, url }) => method === "POST" && url === "/event");
const cookie = async (browser, name) =>
  (await browser.context.cookies()).find((one) => one.name === name && one.domain.endsWith("dcs.test"));
const event = (page, signals, options) =>
  page.evaluate(([signals, options]) => pinion.event(signals, options), [signals, { timeout_ms: 60_000, ...options }]);

// A page whose client has asked for ids and attached the iframe, as all do.
async function clientPage(browser, url = SHOP + "client", prepare) {
  const page = await browser.open(url, prepare);
  const answer = await page.evaluate(() => client.id());
  await page.evaluate((subdomain) => client.attach(subdomain), answer.subdomain);
  await until("the iframe's word", () => page.evaluate(() => client.heard.length));
  return { page, answer };
}

// Sends one sync and, behind it, an image that is always fired: when that is there, the sync was or never will be.
async function isFired(page, sync) {
  const [path, end] = ["/probe", "/end"].map((name) => `${name}${Math.random()}`);
  await page.evaluate(([sync, path, end]) => client.combined(
    client.sync({ ...sync, urls: [`https://partner.test${path}`] }),
    client.destination(1, "img", `https://partner.test${end}`),
  ), [sync, path, end]);
  await awaitFired(end);
  return firedAt(path).length > 0;
}

// On a busy machine the iframe takes longer than the tag waits for it.
function patient() {
  const { setTimeout } = window;
  window.setTimeout = (work, ms) => setTimeout(work, ms === 3000 ? 60_000 : ms);
}

// Until the tag's iframe has done all that it was told so far.
async function endOfFrame(page) {
  const end = `/end${Math.random()}`;
  await page.evaluate((url) => {
    const { contentWindow } = document.querySelector('iframe[src*="dest5"]');
    contentWindow.postMessage(`---destpub---dests|1|img|${encodeURIComponent(url)}`, "*");
  }, PARTNER + end);
  await awaitFired(end);
}

browsing("cookies of other sites are kept", false, (check) => {
  check("a client gets an id, an iframe and its word", async (browser) => {
    const { page, answer } = await clientPage(browser);
    assert.match(answer.d_mid, /^\d{38}$/);
    assert.equal(answer.subdomain, "shop");
    assert.deepEqual(await page.evaluate(() => client.heard),
      [{ origin: "https://shop.dcs.test", text: "canSetThirdPartyCookies|true" }]);
    const { value, secure, sameSite } = await cookie(browser, "demdex");
    assert.deepEqual([/^\d{38}$/.test(value), secure, sameSite], [true, true, "None"]);
    const frame = page.frames()[1];
    assert.equal(await frame.title(), "Adobe AudienceManager");
    assert.equal(await frame.evaluate(() => document.body.innerText.trim()), "");
  });

  check("macros are filled in, and partners see the iframe instead of the page", async (browser) => {
    const { page } = await clientPage(browser);
    const macros = "?u=%did%&U=%DID%&t=%TimeStamp%&r=%rnd%&p=%http_proto%&x=%other%";
    await page.evaluate((macros) => client.combined(
      client.sync({ id: 411, urls: [`//partner.test/one${macros}`, "https://partner.test/two?a=1,2|3"] }),
      client.destination(7, "img", "https://partner.test/three?u=%did%"),
      client.destination(8, "iframe", "https://partner.test/never"),
      "ibs|9|img|javascript%3Aalert(1)|1|||true", "nonsense", "ibs", "ibs|%|img|%E0%A4%A|1",
      client.destination(9, "img", "https://partner.test/end"),
    ), macros);
    await awaitFired("/end");
    const { value } = await cookie(browser, "demdex");
    const [one] = firedAt("/one");
    const asked = Object.fromEntries(new URL(one.url.replace("%other%", "kept"), PARTNER).searchParams);
    assert.equal(asked.u, value);
    assert.equal(asked.U, value);
    assert.ok(Math.abs(Number(asked.t) - Date.now() / 1000) < 60, asked.t);
    assert.match(asked.r, /^\d+$/);
    assert.deepEqual([asked.p, asked.x], ["https", "kept"]);
    assert.equal(one.referer, "https://shop.dcs.test/");
    assert.equal(firedAt("/two")[0].url, "/two?a=1,2|3");
    assert.equal(firedAt("/three")[0].url, `/three?u=${value}`);
    assert.equal(firedAt("/never").length, 0);
  });

  check("one message goes each 100 ms", async (browser) => {
    // When an image was asked for, and not when the network got to it.
    const { page } = await clientPage(browser, SHOP + "client", () => {
      window.started = [];
      const Original = Image;
      window.Image = function () {
        started.push(performance.now());
        return new Original();
      };
    });
    await page.evaluate(() => {
      const message = (n) => client.destination(n, "img", `https://partner.test/paced?${n}`);
      client.post("---destpub---" + message(0));
      client.post("---destpub-debug---" + message(1));
      client.combined(message(2), message(3));
    });
    await awaitFired("/paced", 4);
    const names = await page.frames()[1].evaluate(() =>
      performance.getEntriesByType("resource").map(({ name }) => name.split("?")[1]));
    assert.deepEqual(names.sort(), ["0", "1", "2", "3"]);
    const started = await page.frames()[1].evaluate(() => started);
    assert.equal(started.length, 4);
    for (let i = 1; i < started.length; i++) assert.ok(started[i] - started[i - 1] > 95, String(started));
  });

  check("a sync rests until its minutes are over", async (browser) => {
    const { page } = await clientPage(browser);
    assert.equal(await isFired(page, { id: 60, minutes: 10 }), true);
    assert.equal(await isFired(page, { id: 60, minutes: 10 }), false);
    assert.equal(await isFired(page, { id: 61, minutes: 10 }), true);
    const first = await cookie(browser, "dextp");
    assert.match(first.value, /^60-1-\d{13}\|61-1-\d{13}$/);
    assert.deepEqual([first.secure, first.sameSite], [true, "None"]);
    // Another page of another site of the publisher's.
    const { page: other } = await clientPage(browser, NEWS + "client");
    assert.equal(await isFired(other, { id: 60, minutes: 10 }), false);
    assert.equal(await isFired(other, { id: 60, minutes: 0 }), true);
    // Eleven minutes later, as far as the cookie knows.
    const aged = `60-1-${Date.now() - 11 * 60_000}`;
    await browser.context.addCookies([{ ...first, value: aged }]);
    assert.equal(await isFired(page, { id: 60, minutes: 12 }), false);
    assert.equal(await isFired(page, { id: 60, minutes: 10 }), true);
    await page.evaluate(() => client.post("---destpub-clear-dextp---"));
    assert.equal(await isFired(page, { id: 60, minutes: 10 }), true);
    await page.evaluate(() => client.post("---destpub-clear-dextp------destpub---" +
      client.sync({ id: 60, minutes: 10, urls: ["https://partner.test/cleared"] })));
    await awaitFired("/cleared");
  });

  check("syncs that an answer asks for are fired once in their time", async (browser) => {
    const { page, answer } = await clientPage(browser);
    const { value: visitor } = await cookie(browser, "demdex");
    const tail = { tag: "img", fireURLSync: 0, syncOnPage: 0 };
    assert.deepEqual(answer.ibs.map(({ id, ttl }) => [id, ttl]), [["20", 20], ["21", 10], ["22", 20]]);
    assert.deepEqual(answer.ibs[0], { id: "20", ttl: 20, ...tail, url: ["//partner.test/sync?u=%did%&t=%timestamp%"] });
    // What the page fires as it is has nothing left to replace.
    assert.match(answer.ibs[1].url[0], new RegExp(`^//partner.test/seen\\?u=${visitor}&r=\\d+&t=\\d{10}&p=https$`));
    assert.deepEqual(answer.ibs[2].url, [`//partner.test/anyway?m=${answer.d_mid}`]);
    const hand = async (page, syncs) => {
      const end = `/end${Math.random()}`;
      await page.evaluate(([syncs, end]) => client.hand(syncs, end), [syncs, PARTNER + end]);
      await awaitFired(end);
      return [firedAt("/sync").length, firedAt("/anyway").length];
    };
    assert.deepEqual(await hand(page, answer.ibs), [1, 1]);
    const [{ url, referer }] = firedAt("/sync");
    assert.match(url, new RegExp(`^/sync\\?u=${visitor}&t=\\d{10}$`));
    assert.equal(referer, "https://shop.dcs.test/");
    // The same call gets the same list, and another page of another site fires none of it again.
    const { page: other, answer: again } = await clientPage(browser, NEWS + "client");
    assert.deepEqual(again.ibs, answer.ibs);
    assert.deepEqual(await hand(other, again.ibs), [1, 1]);
    // Until its time is over, as far as the cookie knows.
    const throttle = await cookie(browser, "dextp");
    const aged = throttle.value.replace(/20-1-\d+/, `20-1-${Date.now() - 21 * 60_000}`);
    await browser.context.addCookies([{ ...throttle, value: aged }]);
    assert.deepEqual(await hand(other, again.ibs), [2, 1]);
    assert.equal(firedAt("/seen").length, 0);
  });

  check("the throttle stays within a cookie", async (browser) => {
    const { page } = await clientPage(browser);
    const { value } = await cookie(browser, "demdex");
    const entry = (n) => `${100_000 + n}-1-${Date.now()}`;
    const full = Array.from({ length: 155 }, (_, n) => entry(n)).join("|");
    await browser.context.addCookies(
      [{ name: "dextp", value: full, domain: "shop.dcs.test", path: "/", secure: true, sameSite: "None" }]);
    assert.equal(await isFired(page, { id: 99, minutes: 10 }), true);
    const { value: kept } = await cookie(browser, "dextp");
    assert.ok(kept.length <= 3500 && kept.length > 3000 && kept.includes("|99-1-"), `${kept.length}`);
    assert.equal((await page.evaluate(() => client.id())).d_mid.length, 38, "the server takes such a cookie");
    assert.equal((await cookie(browser, "demdex")).value, value);
  });

  check("only the origin behind the hash is listened to", async (browser) => {
    const page = await browser.open(SHOP + "client");
    await page.evaluate(() => client.attach("shop", { parent: "https://news.test" }));
    await page.evaluate(() => client.combined(client.destination(1, "img", "https://partner.test/wrong")));
    await page.evaluate(() => client.attach("shop"));
    await until("the iframe's word", () => page.evaluate(() => client.heard.length));
    assert.equal(await isFired(page, { id: 1 }), true);
    assert.equal(firedAt("/wrong").length, 0);
    assert.equal(await page.evaluate(() => client.heard.length), 1, "the first one said nothing to this page");
  });

  check("a page that is not listed holds no iframe and reads nothing, but collects", async (browser) => {
    const shop = await browser.open(SHOP + "tag");
    const { uuid } = await event(shop, { product: "none" });
    const page = await browser.open(STRANGER + "client");
    await page.evaluate(() => client.attach("shop"));
    await page.evaluate(() => client.combined(client.destination(1, "img", "https://partner.test/stolen?u=%did%")));
    const read = await page.evaluate(async () => {
      const call = "https://shop.dcs.test/event?d_rtbd=json&d_cts=2&c_product=camera";
      return fetch(call, { credentials: "include" }).then((answer) => answer.text(), (fault) => fault.name);
    });
    assert.equal(read, "TypeError");
    const script = await page.evaluate(() => new Promise((resolve) => {
      window.told = (answer) => resolve(answer);
      const element = document.createElement("script");
      element.src = "https://shop.dcs.test/event?d_rtbd=json&d_cts=2&d_cb=told";
      document.body.append(element);
    }));
    assert.deepEqual(script, { errors: script.errors });
    assert.equal(script.errors[0].code, 109);
    const after = await event(shop, {});
    assert.deepEqual([after.uuid, after.segments], [uuid, [100]], "what the stranger's page told was collected");
    assert.deepEqual(await page.evaluate(() => client.heard), []);
    assert.equal(firedAt("/stolen").length, 0);
  });

  check("a visitor who opted out hears and sends nothing", async (browser) => {
    const attributes = { domain: ".dcs.test", path: "/", secure: true, sameSite: "None" };
    const optOut = { name: "demdex", value: "NOTARGET", ...attributes };
    await browser.context.addCookies([optOut]);
    const page = await browser.open(SHOP + "client");
    await page.evaluate(() => client.attach("shop"));
    await until("the iframe's word", () => page.evaluate(() => client.heard.length));
    await page.evaluate(() =>
      client.combined(client.sync({ id: 1, urls: ["https://partner.test/never"], fire: true })));
    const tagged = await browser.open(SHOP + "tag");
    const told = await event(tagged, { product: "camera" });
    assert.deepEqual([told.answered, told.uuid, told.segments], [true, "", []]);
    assert.equal(told.errors[0].code, 171);
    assert.equal((await cookie(browser, "demdex")).value, "NOTARGET");
    assert.equal(await tagged.evaluate(() => localStorage.length + document.cookie.length), 0);
    assert.equal(sites.fired.length, 0);
    // The same iframe listens again when the visitor comes back, without what was sent meanwhile.
    await browser.context.addCookies([{ ...optOut, value: "1".repeat(38) }]);
    assert.equal(await isFired(page, { id: 1 }), true);
    assert.equal(firedAt("/never").length, 0);
  });

  check("an iframe without an origin of its own does what it can", async (browser) => {
    const page = await browser.open(SHOP + "client");
    await page.evaluate(() => client.attach("shop", { sandbox: "allow-scripts" }));
    const heard = await until("the iframe's word", () => page.evaluate(() => client.heard[0]));
    assert.equal(heard.text, "canSetThirdPartyCookies|false");
  });

  check("two sites share a visitor, through the tag", async (browser) => {
    const shop = await browser.open(SHOP + "tag"), news = await browser.open(NEWS + "tag");
    const first = await event(shop, { product: "camera" });
    assert.deepEqual([first.answered, first.segments, first.traits, first.errors], [true, [100], [1], []]);
    assert.deepEqual(await shop.evaluate(() => pinion.segments), [100]);
    const second = await event(news, { section: ["none", "sport"] });
    assert.equal(second.uuid, first.uuid);
    assert.deepEqual(second.segments, [100, 101], "and the address of its page was told");
    assert.equal((await cookie(browser, "demdex")).value, first.uuid);
  });

  check("the tag fires destinations, sets cookies and tells the ad server", async (browser) => {
    const page = await browser.open(SHOP + "tag", () => {
      window.targeted = [];
      window.googletag = {
        cmd: [],
        pubads: () => ({ setTargeting: (key, values) => targeted.push([key, values]) }),
      };
      googletag.cmd.push = (work) => work();
      // On a busy machine the iframe takes longer than the tag waits for it.
      const { setTimeout } = window;
      window.setTimeout = (work, ms) => setTimeout(work, ms === 3000 ? 60_000 : ms);
    });
    const { uuid } = await event(page, { product: "camera", section: "sport" }, { targeting: "seg" });
    const [image] = await awaitFired("/destination");
    const [frame] = await awaitFired("/framed");
    assert.match(image.url, new RegExp(`^/destination\\?u=${uuid}&t=\\d{10}$`));
    assert.equal(image.referer, "https://shop.dcs.test/");
    assert.equal(frame.url, "/framed?p=https");
    assert.equal(await page.evaluate(() => document.cookie), "aam=seg=100,101");
    assert.deepEqual(await page.evaluate(() => targeted), [["seg", ["100", "101"]]]);
    assert.equal(await page.evaluate(() => document.querySelectorAll("iframe").length), 2);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  });

  check("the tag has ids synchronised, and asks for it as seldom as it may", async (browser) => {
    const idCalls = () => sites.calls.filter(({ url }) => url === "/id");
    const page = await browser.open(SHOP + "tag", patient);
    const { uuid } = await event(page, { product: "bag", c_k: "v" });
    const [sync] = await awaitFired("/sync");
    const [anyway] = await awaitFired("/anyway");
    const [seen] = await awaitFired("/seen");
    assert.match(sync.url, new RegExp(`^/sync\\?u=${uuid}&t=\\d{10}$`));
    assert.deepEqual([sync.referer, anyway.referer, seen.referer],
      ["https://shop.dcs.test/", "https://shop.dcs.test/", "https://shop.test/"]);
    assert.ok(seen.url.startsWith(`/seen?u=${uuid}&`), seen.url);
    const told = new URLSearchParams(idCalls()[0].body);
    assert.deepEqual([told.get("d_uuid"), told.get("c_k"), idCalls().length], [uuid, "v", 1]);
    // The shortest rest of them all is until when nothing is asked for.
    const rests = await until("its rest", () => page.evaluate(() => JSON.parse(localStorage.pinion_syncs)));
    const minutes = (id) => Math.round((rests[id] - Date.now()) / 60_000);
    await until("its whole rest", async () => Object.assign(rests,
      await page.evaluate(() => JSON.parse(localStorage.pinion_syncs))) && minutes("") > 5);
    assert.deepEqual([minutes(""), minutes("21")], [10, 10]);
    await event(page, { product: "bag" });
    await page.reload();
    await event(page, { product: "bag" });
    assert.equal(idCalls().length, 1);
    // When it is over, the iframe still knows which of its own rest.
    await page.evaluate(() => {
      localStorage.pinion_syncs = JSON.stringify({ "": Date.now() - 1, 21: Date.now() - 1 });
    });
    await event(page, { product: "camera" });
    await awaitFired("/seen", 2);
    await awaitFired("/destination");
    await endOfFrame(page);
    assert.deepEqual([idCalls().length, firedAt("/sync").length, firedAt("/anyway").length], [2, 1, 1]);
  });

  check("what a page queued before the tag is done, faults and all", async (browser) => {
    const page = await browser.open(SHOP + "tag", () => {
      window.pinion = { cmd: [] };
      pinion.cmd.push(() => { throw new Error("the page's own"); });
      pinion.cmd.push((tag) => {
        const signals = { product: "camera", c_half: "\ud800", income: null, p_income: 2000 };
        window.told = tag.event(signals, { timeout_ms: 60_000 });
      });
    });
    assert.deepEqual((await page.evaluate(() => told)).segments, [100, 102]);
    const body = new URLSearchParams(eventCalls()[0].body);
    assert.deepEqual([body.get("c_product"), body.get("c_income"), body.get("p_income")], ["camera", null, "2000"]);
  });

  check("the page waits no longer than it said, and never for a fault", async (browser) => {
    const page = await browser.open(SHOP + "tag");
    await page.route("**/event", () => {});
    const nothing = { answered: false, segments: [], traits: [], uuid: "", errors: [] };
    assert.deepEqual(await event(page, {}, { timeout_ms: 50 }), nothing);
    assert.deepEqual(await page.evaluate(() => pinion.segments), []);
    await page.unroute("**/event");
    await page.route("**/event", (route) => route.abort());
    assert.deepEqual(await event(page, {}), nothing);
    await page.unroute("**/event");
    const headers = { "Access-Control-Allow-Origin": "https://shop.test", "Access-Control-Allow-Credentials": "true" };
    await page.route("**/event", (route) => route.fulfill({ body: "null", headers }));
    assert.deepEqual(await event(page, {}), nothing);
    await page.unroute("**/event");
    // Without the iframe, images are fired all the same.
    await page.route("**/dest5.html*", (route) => route.abort());
    assert.deepEqual((await event(page, { product: "camera" })).segments, [100]);
    await awaitFired("/destination");
  });

  check("without consent nothing is known or kept", async (browser) => {
    const page = await browser.open(SHOP + "tag", () => {
      window.__tcfapi = (command, version, done) => {
        const data = { gdprApplies: true, eventStatus: "tcloaded", tcString: "", listenerId: 1 };
        if (command === "addEventListener") done(data, true);
      };
    });
    const told = await event(page, { product: "camera" });
    assert.deepEqual([told.answered, told.uuid, told.segments, told.errors[0].code], [true, "", [], 315]);
    assert.deepEqual(await browser.context.cookies(), []);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    assert.equal(sites.fired.length, 0);
  });

  check("nothing is sent until the visitor has chosen", async (browser) => {
    const page = await browser.open(SHOP + "tag", () => {
      window.__tcfapi = (command, version, done) => {
        if (command !== "addEventListener") return;
        const data = { gdprApplies: true, listenerId: 1 };
        done({ ...data, eventStatus: "cmpuishown" }, true);
        window.choose = (tcString) => done({ ...data, eventStatus: "useractioncomplete", tcString }, true);
      };
      window.__gpp = (command, done) => {
        const pingData = { signalStatus: "ready", gppString: "DBAA", applicableSections: [-1] };
        if (command === "addEventListener") done({ pingData, listenerId: 2 });
      };
    });
    const told = await event(page, { product: "camera" }, { timeout_ms: 50 });
    assert.deepEqual([told.answered, eventCalls().length], [false, 0]);
    const granted = "CQdWToAQdWToAAfACAENAwEgAIBAAAAAAAAAAEEUAAAAAAAA.IAAA.YAAAAAAAAAAA";
    await page.evaluate((granted) => choose(granted), granted);
    const [call] = await until("the call", () => eventCalls().length && eventCalls());
    await until("its answer", () => page.evaluate(() => localStorage.length));
    const body = new URLSearchParams(call.body);
    const names = ["gdpr", "gdpr_consent", "gpp", "gpp_sid"];
    assert.deepEqual(names.map((name) => body.get(name)), ["1", granted, "DBAA", ""]);
    // The page's own cookie goes with the operator's consent; nobody else is told without a number on the vendor list.
    assert.equal(await page.evaluate(() => document.cookie), "aam=seg=100");
    assert.equal(sites.fired.length, 0);
  });
});

browsing("cookies of other sites are blocked", true, (check) => {
  check("a client is told so, and only syncs that say so are fired", async (browser) => {
    const { page } = await clientPage(browser);
    assert.equal((await page.evaluate(() => client.heard[0])).text, "canSetThirdPartyCookies|false");
    assert.equal(await isFired(page, { id: 1, fire: false }), false);
    assert.equal(await isFired(page, { id: 1, fire: true }), true);
    // There is nobody to name.
    await page.evaluate(() => client.combined(
      client.sync({ id: 2, urls: ["https://partner.test/nobody?u=%did%"], fire: true }),
      client.destination(3, "img", "https://partner.test/end"),
    ));
    await awaitFired("/end");
    assert.equal(firedAt("/nobody").length, 0);
    assert.deepEqual(await browser.context.cookies(), []);
  });

  check("the tag has only those ids synchronised that need no cookie", async (browser) => {
    const page = await browser.open(SHOP + "tag", patient);
    const { uuid } = await event(page, {});
    await awaitFired("/anyway");
    const [seen] = await awaitFired("/seen");
    assert.ok(seen.url.startsWith(`/seen?u=${uuid}&`), seen.url);
    await endOfFrame(page);
    assert.equal(firedAt("/sync").length, 0);
  });

  check("a site knows its own visitor, through the tag, and no other's", async (browser) => {
    const shop = await browser.open(SHOP + "tag"), news = await browser.open(NEWS + "tag");
    const first = await event(shop, { product: "camera" });
    assert.deepEqual(first.segments, [100]);
    await shop.reload();
    const second = await event(shop, {});
    assert.deepEqual([second.uuid, second.segments], [first.uuid, [100]]);
    const other = await event(news, {});
    assert.notEqual(other.uuid, first.uuid);
    assert.deepEqual(other.segments, []);
    const [image] = await awaitFired("/destination");
    assert.ok(image.url.includes(`u=${first.uuid}&`), image.url);
    assert.ok(!(await cookie(browser, "demdex")));
  });
});
