// SMART App Launch of the viewer, with PKCE: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
(async function () {
  "use strict";
  const session = window.viewerSession;
  const asked = new URLSearchParams(window.location.search);
  const back = window.location.origin + session.root + "/viewer/callback";
  const key = "viewer-launch:" + session.root;

  function say(text) {
    document.getElementById("said").textContent = text;
  }

  function base64url(bytes) {
    return btoa(String.fromCharCode(...new Uint8Array(bytes)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  }

  function random() {
    return base64url(crypto.getRandomValues(new Uint8Array(32)));
  }

  async function settings() {
    const answers = await Promise.all([fetch("settings.json"), fetch(session.fhir + "/.well-known/smart-configuration")]);
    if (!answers[1].ok) throw new Error("this server asks nobody to sign in");
    return [await answers[0].json(), await answers[1].json()];
  }

  async function begin() {
    if (asked.get("iss") && asked.get("iss").replace(/\/$/, "") !== session.fhir) {
      throw new Error("the viewer shows images of its own server alone");
    }
    const [ours, theirs] = await settings();
    const state = { state: random(), verifier: random(), token: theirs.token_endpoint };
    window.sessionStorage.setItem(key, JSON.stringify(state));
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(state.verifier));
    const launched = asked.get("launch");
    const query = new URLSearchParams({
      response_type: "code",
      client_id: ours.client,
      redirect_uri: back,
      scope: launched ? ours.patient_scopes : ours.scopes.replace(/\blaunch\b ?/, ""),
      state: state.state,
      aud: session.fhir,
      code_challenge: base64url(digest),
      code_challenge_method: "S256",
    });
    if (launched) query.set("launch", launched);
    window.location.replace(theirs.authorization_endpoint + "?" + query);
  }

  async function finish() {
    const state = JSON.parse(window.sessionStorage.getItem(key) || "{}");
    window.sessionStorage.removeItem(key);
    if (asked.get("error")) throw new Error(asked.get("error_description") || asked.get("error"));
    if (!state.state || state.state !== asked.get("state")) throw new Error("this answer is not to a question of ours");
    const [ours] = await settings();
    const body = new URLSearchParams({
      grant_type: "authorization_code",
      code: asked.get("code"),
      redirect_uri: back,
      client_id: ours.client,
      code_verifier: state.verifier,
    });
    const answer = await fetch(state.token, { method: "POST", body: body });
    const token = await answer.json();
    if (!answer.ok) throw new Error(token.error_description || token.error);
    session.put({ token: token.access_token, until: Date.now() + token.expires_in * 1000 });
    window.location.replace(await place(token));
  }

  // Where to go: the study of the launch, the studies of its patient, or where the user was.
  async function place(token) {
    const viewer = session.root + "/viewer/";
    for (const each of token.fhirContext || []) {
      if ((each.reference || "").startsWith("ImagingStudy/")) {
        const uid = await study(each.reference);
        if (uid) return viewer + "viewer?StudyInstanceUIDs=" + encodeURIComponent(uid);
      }
    }
    if (token.patient) {
      const found = await fhir("ImagingStudy?_count=1&_sort=-started&patient=" + encodeURIComponent(token.patient));
      const uids = (found.entry || []).map((entry) => uidOf(entry.resource)).filter(Boolean);
      if (uids.length) return viewer + "viewer?StudyInstanceUIDs=" + uids.map(encodeURIComponent).join(",");
    }
    const before = window.sessionStorage.getItem("viewer-session:" + session.root + ":back");
    return before && before.startsWith(window.location.origin + viewer) ? before : viewer;
  }

  async function study(reference) {
    return uidOf(await fhir(reference));
  }

  function uidOf(resource) {
    const found = (resource.identifier || []).find((each) => each.system === "urn:dicom:uid");
    return found ? found.value.replace(/^urn:oid:/, "") : "";
  }

  async function fhir(path) {
    const answer = await fetch(session.fhir + "/" + path, { headers: { Accept: "application/fhir+json" } });
    return answer.ok ? answer.json() : {};
  }

  try {
    await (window.location.pathname.endsWith("/callback") ? finish() : begin());
  } catch (error) {
    say("The viewer could not be opened: " + error.message);
  }
})();
