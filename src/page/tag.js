// pinion's tag: the browser's side of the server for sites without scripts of their own for it. docs/tag.md tells how a
// page uses it. It must never harm its page: nothing here throws into it, and no promise is ever refused. The syntax is
// ES5, so that an old browser at least doesn't stumble; where promises or fetch are missing it does nothing.
(function () {
  "use strict";

  var script = document.currentScript;
  var pinion = window.pinion = window.pinion || {};
  if (pinion.event || !script || !window.Promise || !window.fetch) return;

  var TIMEOUT_MS = 1000;
  // How long the iframe may take to say that it is there. Without it the page fires its images itself.
  var FRAME_MS = 3000;
  var STORED = "pinion_uuid";
  // By the id of a sync that the page fires itself, when it is due again; by the empty text, when to ask for any.
  var SYNCS = "pinion_syncs";
  var TO_PARENT = "---destpub-to-parent---";

  var server = script.src.replace(/^(https?:\/\/[^\/]+).*$/i, "$1");
  var frame = null;
  // Messages for the iframe until it is there; then null.
  var waiting = [];
  var isFrameLost = false;
  var firstAnswered;

  // The segments of the page's first call.
  pinion.segments = new Promise(function (resolve) {
    firstAnswered = resolve;
  });
  pinion.event = event;
  // What the page queued before the tag was there, and what it queues from now on.
  var queued = pinion.cmd || [];
  pinion.cmd = {
    push: function () {
      for (var i = 0; i < arguments.length; i++) guarded(arguments[i], pinion);
      return 0;
    }
  };
  pinion.cmd.push.apply(null, queued);

  // Sends signals; the promise has { answered, segments, traits, uuid, errors } in any case and in time.
  function event(signals, options) {
    signals = signals || {};
    options = options || {};
    var late = new Promise(function (resolve) {
      setTimeout(resolve, options.timeout_ms || TIMEOUT_MS);
    });
    var called = consent().then(function (consented) {
      return call("/event", form(signals, consented)).then(function (answer) {
        guarded(take, answer);
        if (answer && answer.uuid) guarded(synchronise, signals, consented);
        return answer;
      });
    }).then(function (answer) {
      if (options.targeting) guarded(target, options.targeting, answer.segments || []);
      return answer;
    });
    var result = Promise.race([called, late]).then(null, nothing).then(function (answer) {
      var told = answer || {};
      return {
        answered: !!answer,
        segments: told.segments || [],
        traits: told.traits || [],
        uuid: told.uuid || "",
        errors: told.errors || []
      };
    });
    result.then(function (told) {
      firstAnswered(told.segments);
    });
    called.then(nothing, nothing);
    return result;
  }

  // ---- What the visitor consents to, as the consent managers of the page tell it. Until they know, nothing is sent.

  function consent() {
    return Promise.all([transparency(), privacy()]).then(function (told) {
      return told[0].concat(told[1]);
    });
  }

  // IAB Europe's Transparency and Consent Framework.
  function transparency() {
    return new Promise(function (resolve) {
      if (typeof window.__tcfapi !== "function") return resolve([]);
      window.__tcfapi("addEventListener", 2, function (data, isFine) {
        if (!isFine || !data) return;
        var isChosen = data.eventStatus === "tcloaded" || data.eventStatus === "useractioncomplete";
        if (data.gdprApplies === false) resolve([["gdpr", 0]]);
        else if (isChosen) resolve([["gdpr", 1], ["gdpr_consent", data.tcString || ""]]);
        else return;
        window.__tcfapi("removeEventListener", 2, nothing, data.listenerId);
      });
    });
  }

  // IAB's Global Privacy Platform. Sections of 0 and -1 say that none applies.
  function privacy() {
    return new Promise(function (resolve) {
      if (typeof window.__gpp !== "function") return resolve([]);
      window.__gpp("addEventListener", function (event) {
        var data = event && event.pingData;
        if (!data || data.signalStatus !== "ready") return;
        var sections = [].concat(data.applicableSections || []).filter(function (section) {
          return section > 0;
        });
        resolve([["gpp", data.gppString || ""], ["gpp_sid", sections.join(",")]]);
        window.__gpp("removeEventListener", nothing, event.listenerId);
      });
    });
  }

  // ---- The call.

  function call(path, pairs) {
    return fetch(server + path, {
      method: "POST",
      credentials: "include",
      keepalive: true,
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: pairs.map(function (pair) {
        return escaped(pair[0]) + "=" + escaped(pair[1]);
      }).join("&")
    }).then(function (response) {
      return response.json();
    });
  }

  function form(signals, consented) {
    var pairs = [["d_rtbd", "json"], ["d_jsonv", 1], ["d_cts", 2], ["d_dst", 1]].concat(consented);
    for (var key in signals) {
      if (!Object.prototype.hasOwnProperty.call(signals, key)) continue;
      var name = /^[cdhp]_/.test(key) ? key : "c_" + key;
      [].concat(signals[key]).forEach(function (value) {
        if (value !== null && value !== undefined) pairs.push([name, value]);
      });
    }
    // Browsers tell other hosts where a page is only as far as its host.
    if (!signals.h_referer) pairs.push(["h_referer", location.href.split("#")[0]]);
    var uuid = stored();
    if (uuid) pairs.push(["d_uuid", uuid]);
    return pairs;
  }

  // ---- What an answer is good for.

  function take(answer) {
    remember(answer);
    (answer.stuff || []).forEach(setCookie);
    (answer.dests || []).forEach(function (destination) {
      guarded(fire, destination, answer.uuid || "");
    });
  }

  // Browsers that keep no cookies of other sites know the visitor by what this site keeps. An answer without a visitor
  // is about one who must not be known; only a server in need (error 0) says nothing about her.
  function remember(answer) {
    var isInNeed = (answer.errors || []).some(function (error) {
      return error.code === 0;
    });
    try {
      if (answer.uuid) localStorage.setItem(STORED, answer.uuid);
      else if (!isInNeed) [STORED, SYNCS].forEach(localStorage.removeItem, localStorage);
    } catch (fault) {}
  }

  function stored() {
    try {
      var uuid = localStorage.getItem(STORED);
      return /^\d{38}$/.test(uuid) ? uuid : "";
    } catch (fault) {
      return "";
    }
  }

  function setCookie(entry) {
    var end = new Date(+new Date() + entry.ttl * 86400000);
    var value = String(entry.cv).replace(/;|[^!-~]+/g, escaped);
    var secure = location.protocol === "https:" ? "; Secure" : "";
    guarded(function () {
      document.cookie = entry.cn + "=" + value + "; Domain=" + entry.dmn + "; Path=/; Expires=" + end.toUTCString() +
        "; SameSite=Lax" + secure;
    });
  }

  // Images are the iframe's to fire, so that who gets them doesn't see this page.
  function fire(destination, uuid) {
    var url = filled(location.protocol === "https:" && destination.e || destination.c, uuid);
    if (destination.y === "iframe") hidden(url);
    else post(["dests", destination.id, "img", url], url);
  }

  function filled(url, uuid) {
    var values = {
      did: uuid,
      timestamp: Math.floor(+new Date() / 1000),
      rnd: Math.floor(Math.random() * 1e15),
      http_proto: location.protocol.replace(":", "")
    };
    return url.replace(/%(did|timestamp|rnd|http_proto)%/gi, function (all, name) {
      return values[name.toLowerCase()];
    });
  }

  // ---- ID syncs, asked for as seldom as they may be.

  function synchronise(signals, consented) {
    if (!isDue("")) return;
    // Other calls of this page ask no more; should this one fail, a later page does.
    rest("", 1);
    call("/id", form(signals, consented)).then(function (told) {
      if (!told.d_mid) return;
      var minutes = told.id_sync_ttl / 60;
      told.ibs.forEach(function (sync) {
        minutes = Math.min(minutes, sync.ttl);
        guarded(synchroniseOne, sync);
      });
      rest("", minutes);
    }).then(null, nothing);
  }

  // The iframe remembers which of its syncs rest; those of the page are the page's to remember.
  function synchroniseOne(sync) {
    if (!sync.syncOnPage) {
      post(["ibs", sync.id, sync.tag, sync.url, sync.ttl, "", "", sync.fireURLSync === 1]);
    } else if (isDue(sync.id)) {
      rest(sync.id, sync.ttl);
      sync.url.forEach(function (url) {
        new Image().src = url;
      });
    }
  }

  // Where nothing can be remembered nothing is ever due.
  function isDue(id) {
    try {
      return !(rests()[id] > +new Date());
    } catch (fault) {
      return false;
    }
  }

  function rest(id, minutes) {
    var all = rests();
    all[id] = +new Date() + minutes * 60000;
    localStorage.setItem(SYNCS, JSON.stringify(all));
  }

  function rests() {
    return JSON.parse(localStorage.getItem(SYNCS) || "{}");
  }

  // ---- The iframe.

  // Without the iframe the page fires the image in its place; a sync has none.
  function post(parts, image) {
    if (isFrameLost) {
      if (image) new Image().src = image;
    } else if (waiting) waiting.push([parts, image]);
    else {
      var message = parts.map(function (part) {
        return [].concat(part).map(escaped).join(",");
      }).join("|");
      frame.contentWindow.postMessage("---destpub---" + message, server);
    }
    if (!frame) openFrame();
  }

  function openFrame() {
    frame = hidden(server + "/dest5.html?d_nsid=0#" + escaped(location.origin));
    window.addEventListener("message", function (event) {
      var isFrames = event.source === frame.contentWindow && event.origin === server.toLowerCase();
      if (isFrames && String(event.data).indexOf(TO_PARENT) === 0) settle();
    });
    setTimeout(function () {
      if (!waiting) return;
      isFrameLost = true;
      settle();
    }, FRAME_MS);
  }

  // What waited for the iframe goes its way.
  function settle() {
    var messages = waiting || [];
    waiting = null;
    messages.forEach(function (message) {
      guarded(post, message[0], message[1]);
    });
  }

  function hidden(url) {
    var element = document.createElement("iframe");
    element.style.display = "none";
    element.title = "pinion";
    element.setAttribute("aria-hidden", "true");
    element.setAttribute("sandbox", "allow-scripts allow-same-origin");
    element.src = url;
    (document.body || document.documentElement).appendChild(element);
    return element;
  }

  // Key-values for the ad server's tag; a queue of its own sees to the order.
  function target(key, segments) {
    var googletag = window.googletag = window.googletag || {};
    googletag.cmd = googletag.cmd || [];
    googletag.cmd.push(function () {
      googletag.pubads().setTargeting(key, segments.map(String));
    });
  }

  // ---- Small things.

  // Half a character can't be escaped: it is left out.
  function escaped(value) {
    try {
      return encodeURIComponent(value);
    } catch (fault) {
      return encodeURIComponent(String(value).replace(/[\ud800-\udfff]/g, ""));
    }
  }

  function guarded(work, first, second) {
    try {
      work(first, second);
    } catch (fault) {
      if (window.console) console.warn("pinion:", fault);
    }
  }

  function nothing() {}
})();
