// All hosts of the tests on one port: two sites of a publisher, one of a stranger, a partner, and the server behind
// TLS.

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:https";

const read = (name) => readFileSync(new URL(name, import.meta.url));
const PIXEL = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==", "base64");

const page = (title, script) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<link rel="icon" href="data:,"><body><h1>${title}</h1><script src="${script}"></script></body></html>`;
const SCRIPT = { "Content-Type": "text/javascript" };
const PAGES = {
  "/page/client": page("A page with somebody else's client", "/client.js"),
  "/page/tag": page("A page with the tag", "https://shop.dcs.test/pinion.js"),
};

// `port`, what the partner was asked for and what the server was called with, `close`.
export async function openSites(pinion) {
  const [hostname, port] = pinion.split(":");
  const fired = [], calls = [];
  const server = createServer({ key: read("tls/key.pem"), cert: read("tls/certificate.pem") }, (incoming, outgoing) => {
    const host = incoming.headers.host;
    if (host.endsWith(".dcs.test")) return forward(incoming, outgoing);
    if (host === "partner.test") {
      fired.push({ url: incoming.url, referer: incoming.headers.referer, when: Date.now() });
      return outgoing.writeHead(200, { "Content-Type": "image/gif", "Cache-Control": "no-store" }).end(PIXEL);
    }
    const path = incoming.url.split("?")[0];
    if (path === "/client.js") return outgoing.writeHead(200, SCRIPT).end(read("client.js"));
    const status = path in PAGES ? 200 : 404;
    outgoing.writeHead(status, { "Content-Type": "text/html" }).end(PAGES[path]);
  });

  function forward(incoming, outgoing) {
    const { method, url, headers } = incoming;
    const call = { method, host: headers.host, url, body: "" };
    calls.push(call);
    incoming.on("data", (bytes) => { call.body += bytes; });
    const forwarded = { ...headers, "x-forwarded-proto": "https" };
    const onward = request({ hostname, port, method, path: url, headers: forwarded }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => { server.closeAllConnections(); server.close(); };
  return { port: server.address().port, fired, calls, close };
}
