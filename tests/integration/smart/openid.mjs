// openid-client as a relying party. It prints each URL that a user has to open, and reads where the browser ends.
import { createInterface } from "node:readline/promises";
import * as oidc from "openid-client";

const [base, redirect, keys] = process.argv.slice(2);
const { rs384, es384 } = JSON.parse(keys);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const insecure = { execute: [oidc.allowInsecureRequests] };

async function signing(jwk, kid, algorithm) {
  const key = await crypto.subtle.importKey("jwk", { ...jwk, key_ops: ["sign"] }, algorithm, false, ["sign"]);
  const toTokenUrl = (header, payload) => { payload.aud = base.replace(/fhir$/, "auth/token"); };
  return oidc.PrivateKeyJwt({ key, kid }, { [oidc.modifyAssertion]: toTokenUrl });
}

async function round(id, authentication) {
  const config = await oidc.discovery(new URL(base), id, undefined, authentication, insecure);
  const verifier = oidc.randomPKCECodeVerifier(), state = oidc.randomState(), nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirect, scope: "openid fhirUser offline_access user/*.rs", aud: base, state, nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  console.log(url.href);
  const back = new URL((await lines.next()).value);
  const tokens = await oidc.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, maxAge: 600,
  });
  const again = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  const headers = { authorization: `Bearer ${again.access_token}` };
  const answer = await fetch(`${base}/Patient/ann`, { headers });
  const asked = id === "public-app" ? await introspected(again.access_token)
    : await oidc.tokenIntrospection(config, again.access_token);
  await oidc.tokenRevocation(config, again.refresh_token);
  const after = id === "public-app" ? { active: false } : await oidc.tokenIntrospection(config, again.access_token);
  return {
    user: tokens.claims().fhirUser, fresh: again.access_token !== tokens.access_token,
    active: [asked.active, after.active], data: answer.status,
  };
}

async function introspected(token) {
  const answer = await fetch(base.replace(/fhir$/, "auth/introspect"), {
    method: "POST", headers: { authorization: `Bearer ${token}` }, body: new URLSearchParams({ token }),
  });
  return answer.json();
}

const rsa = () => signing(rs384, "rsa", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" });
const ec = () => signing(es384, "ec", { name: "ECDSA", namedCurve: "P-384" });
const seen = {
  public: await round("public-app", oidc.None()),
  secret: await round("secret-app", oidc.ClientSecretBasic("a secret of the confidential app")),
  RS384: await round("signing-app", await rsa()),
  ES384: await round("signing-app", await ec()),
};
const service = await oidc.discovery(new URL(base), "nightly", undefined, await ec(), insecure);
seen.service = (await oidc.clientCredentialsGrant(service, { scope: "system/*.rs" })).expires_in;
console.log(JSON.stringify(seen));
process.exit(0);
