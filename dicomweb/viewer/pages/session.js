// The session of the viewer: its token goes with every question to this server's DICOMweb and FHIR, and nowhere else.
(function () {
  "use strict";
  const here = window.location;
  const at = here.pathname.indexOf("/viewer");
  const root = here.pathname.slice(0, at);
  const key = "viewer-session:" + root;

  const session = {
    root: root,
    fhir: here.origin + root + "/fhir",
    dicomweb: root + "/dicomweb",
    get: function () {
      try {
        const found = JSON.parse(window.sessionStorage.getItem(key) || "null");
        return found && found.until > Date.now() ? found : null;
      } catch (error) {
        return null;
      }
    },
    put: function (value) {
      window.sessionStorage.setItem(key, JSON.stringify(value));
    },
    end: function () {
      window.sessionStorage.removeItem(key);
    },
    // Sign in, and come back to where we are. One that was refused a moment ago does not begin again.
    begin: function () {
      const last = Number(window.sessionStorage.getItem(key + ":begun") || 0);
      if (Date.now() - last < 10000) return;
      window.sessionStorage.setItem(key + ":begun", String(Date.now()));
      window.sessionStorage.setItem(key + ":back", here.href);
      here.assign(root + "/viewer/launch?iss=" + encodeURIComponent(session.fhir));
    },
  };
  window.viewerSession = session;

  function ours(address) {
    const url = new URL(address, here.href);
    if (url.origin !== here.origin) return false;
    return url.pathname.startsWith(root + "/dicomweb/") || url.pathname.startsWith(root + "/fhir/");
  }

  const open = XMLHttpRequest.prototype.open;
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.open = function (method, address) {
    this.viewerOurs = ours(address);
    return open.apply(this, arguments);
  };
  XMLHttpRequest.prototype.send = function () {
    if (this.viewerOurs) {
      const found = session.get();
      if (found) this.setRequestHeader("Authorization", "Bearer " + found.token);
      this.addEventListener("load", function () {
        if (this.status === 401) session.begin();
      });
    }
    return send.apply(this, arguments);
  };

  const plain = window.fetch.bind(window);
  window.fetch = async function (input, options) {
    const address = typeof input === "string" ? input : input.url || String(input);
    if (!ours(address)) return plain(input, options);
    const headers = new Headers((options && options.headers) || (input && input.headers) || {});
    const found = session.get();
    if (found && !headers.has("Authorization")) headers.set("Authorization", "Bearer " + found.token);
    const answer = await plain(input, Object.assign({}, options, { headers: headers }));
    if (answer.status === 401) session.begin();
    return answer;
  };
})();
