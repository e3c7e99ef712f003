// How the clients of others behave towards the server and its iframe, written anew from the protocol: the id call, the
// iframe with the page's origin behind its hash, and messages of escaped parts.
window.client = (function () {
  const ORGANISATION = "A1A1@AdobeOrg";
  const heard = [];
  let frame, server;

  window.addEventListener("message", (event) => {
    if (typeof event.data === "string" && event.data.startsWith("---destpub-to-parent---")) {
      heard.push({ origin: event.origin, text: event.data.slice("---destpub-to-parent---".length) });
    }
  });

  async function id() {
    const call = { d_visid_ver: "5.5.0", d_rtbd: "json", d_ver: 2, d_orgid: ORGANISATION, d_nsid: 0 };
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const url = `https://dpm.dcs.test/id?${new URLSearchParams(call)}`;
    const answer = await fetch(url, { credentials: "include", headers });
    return answer.json();
  }

  // Resolves when the iframe has loaded, whatever came of it.
  function attach(subdomain, { parent = location.origin, sandbox = "allow-scripts allow-same-origin" } = {}) {
    server = `https://${subdomain}.dcs.test`;
    frame = document.createElement("iframe");
    frame.title = "ID syncing";
    frame.style.display = "none";
    if (sandbox !== null) frame.setAttribute("sandbox", sandbox);
    frame.src = `${server}/dest5.html?d_nsid=0#${encodeURIComponent(parent)}`;
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
    document.body.append(frame);
    return loaded;
  }

  function sync({ id, urls, minutes = 10080, fire = false }) {
    const before = ["ibs", id, "img"], after = [minutes, "", "", fire];
    const all = urls.map(encodeURIComponent).join(",");
    return [...before.map(encodeURIComponent), all, ...after.map(encodeURIComponent)].join("|");
  }

  // Hands the iframe what `/id` asked for, as far as it is not the page's to fire.
  function hand(syncs, end) {
    const message = ({ id, url, ttl, fireURLSync }) => sync({ id, urls: url, minutes: ttl, fire: fireURLSync === 1 });
    combined(...syncs.filter(({ syncOnPage }) => !syncOnPage).map(message), destination(1, "img", end));
  }

  const destination = (id, kind, url) => ["dests", id, kind, url].map(encodeURIComponent).join("|");

  const post = (text) => frame.contentWindow.postMessage(text, "*");
  const combined = (...messages) => post("---destpub-combined---" + messages.join("%01"));

  return { heard, id, attach, sync, hand, destination, post, combined };
})();
