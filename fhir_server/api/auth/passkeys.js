// Passkeys on our pages: elements with data-passkey="register" or "sign-in" are shown where the browser has them.
"use strict";
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error_description || found.error);
  return found;
}

async function register(fields) {
  const { handle, options } = await ask("passkeys/options", { form: fields.form });
  const made = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: (options.excludeCredentials || []).map((each) => ({ ...each, id: bytes(each.id) })),
  } });
  const credential = { id: made.id, rawId: text(made.rawId), type: made.type, response: {
    clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject),
  } };
  const name = document.querySelector("#passkey-name").value;
  return ask("passkeys/register", { form: fields.form, handle, credential, name });
}

async function signIn(fields) {
  const { handle, options } = await ask("passkeys/sign-in-options", {});
  const found = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge),
    allowCredentials: [] } });
  const { clientDataJSON, authenticatorData, signature, userHandle } = found.response;
  const credential = { id: found.id, rawId: text(found.rawId), type: found.type, response: {
    clientDataJSON: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature),
    userHandle: userHandle && new TextDecoder().decode(userHandle) && text(userHandle),
  } };
  return ask("passkeys/sign-in", { handle, credential, request: fields.request });
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  place.hidden = false;
  const fault = place.querySelector("[role=alert]");
  place.querySelector("button").addEventListener("click", async () => {
    fault.hidden = true;
    try {
      const found = await (place.dataset.passkey === "register" ? register : signIn)(place.dataset);
      window.location.assign(found.location);
    } catch (error) {
      fault.textContent = `That did not work: ${error.message}`;
      fault.hidden = false;
    }
  });
}
