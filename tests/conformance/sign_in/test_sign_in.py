"""How people sign in: passwords, authenticators, recovery codes, passkeys, lockout; and how it ends."""

import asyncio
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from statistics import median
from typing import Any

import cbor2
import httpx
import pyotp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fhir_server.auth import users
from fhir_server.auth.user_administration import UserAsked, change_user, lock
from fhir_server.auth.users import find_user, save_user
from tests.conformance.smart.conftest import ORIGIN, PASSWORD, Ehr


async def _sign_in(ehr: Ehr, name: str = "doc", password: str = PASSWORD, code: str = "") -> httpx.Response:
    return await ehr.http.post("/auth/sign-in", data={"name": name, "password": password, "code": code})


def _form(text: str) -> str:
    return re.findall(r'name="form" value="([^"]+)"', text)[0]


async def _act(ehr: Ehr, action: str, **fields: str) -> httpx.Response:
    form = _form((await ehr.http.get("/auth/account")).text)
    return await ehr.http.post("/auth/account", data={"form": form, "action": action, **fields})


async def _enrolled(ehr: Ehr) -> tuple[pyotp.TOTP, list[str]]:
    await _sign_in(ehr)
    page = (await _act(ehr, "authenticator")).text
    assert "<svg" in page
    secret = re.findall(r'name="secret" value="([^"]+)"', page)[0]
    wrong = await _act(ehr, "authenticator-confirm", secret=secret, code="000000")
    assert wrong.status_code == 400 and secret in wrong.text
    done = await _act(ehr, "authenticator-confirm", secret=secret, code=pyotp.TOTP(secret).now())
    codes = re.findall(r"<li><code>([^<]+)</code>", done.text)
    assert len(codes) == 10
    ehr.http.cookies.clear()
    return pyotp.TOTP(secret), codes


async def test_an_authenticator_is_asked_for_once_it_is_set_up(ehr: Ehr) -> None:
    totp, codes = await _enrolled(ehr)
    assert (await _sign_in(ehr)).status_code == 403, "the password alone is not enough"
    later = totp.at(int(time.time()) + 30)
    assert (await _sign_in(ehr, code=later)).status_code == 303
    assert (await _sign_in(ehr, code=later)).status_code == 403, "each code is good once"
    assert (await _sign_in(ehr, code=codes[3].upper())).status_code == 303
    assert (await _sign_in(ehr, code=codes[3])).status_code == 403, "so is a recovery code"
    user = await find_user(ehr.desk, ehr.doctor.id)
    assert user is not None and len(user.recovery) == 9
    assert totp.secret not in str(user.recovery) and codes[0] not in str(user.recovery)


async def test_guessing_codes_locks_as_guessing_passwords_does(ehr: Ehr) -> None:
    totp, _ = await _enrolled(ehr)
    for _ in range(5):
        assert (await _sign_in(ehr, code="123456")).status_code == 403
    assert (await _sign_in(ehr, code=totp.at(int(time.time()) + 30))).status_code == 403


async def test_a_locked_account_an_unknown_one_and_a_wrong_password_look_and_take_the_same(ehr: Ehr) -> None:
    for _ in range(5):
        await _sign_in(ehr, "ann", "wrong password")
    taken: dict[str, list[float]] = {"ann": [], "nobody": [], "doc": []}
    pages = set()
    for turn in range(4):
        for name, times in taken.items():
            begun = time.perf_counter()
            answer = await _sign_in(ehr, name, PASSWORD if name == "ann" else "wrong password")
            times.append(time.perf_counter() - begun)
            assert answer.status_code == 403
            pages.add(answer.text.replace(f'value="{name}"', ""))
        if turn == 2:
            await save_user(ehr.desk, replace(ehr.doctor, failures=0))
    assert len(pages) == 1
    times = [median(each) for each in taken.values()]
    assert max(times) < 2.5 * min(times), taken


async def test_failures_at_the_same_time_are_all_counted(ehr: Ehr) -> None:
    await asyncio.gather(*(_sign_in(ehr, "ann", "wrong password") for _ in range(4)))
    user = await find_user(ehr.desk, ehr.ann.id)
    assert user is not None and user.failures == 4


@pytest.mark.parametrize(("password", "said"), [
    ("short", "at least 12"), ("doc-doc-doc-12", ""), ("password12345", "many people"), ("121212121212", "too few"),
])  # fmt: skip
async def test_a_bad_password_is_refused_in_words(ehr: Ehr, password: str, said: str) -> None:
    await _sign_in(ehr)
    form = _form((await ehr.http.get("/auth/password")).text)
    answer = await ehr.http.post("/auth/password", data={"form": form, "password": password, "again": password})
    assert answer.status_code == (400 if said else 303)
    assert said in unescape(answer.text)


async def test_sessions_are_listed_and_end_everywhere_else(ehr: Ehr) -> None:
    other = httpx.AsyncClient(transport=ehr.http._transport, base_url=ORIGIN)
    await other.post("/auth/sign-in", data={"name": "doc", "password": PASSWORD}, headers={"user-agent": "Old <b>PC"})
    await _sign_in(ehr)
    page = (await ehr.http.get("/auth/account")).text
    assert "Old &lt;b&gt;PC" in page and "<b>PC" not in page
    assert (await other.get("/auth/account")).status_code == 200
    await _act(ehr, "sign-out-elsewhere")
    assert (await other.get("/auth/account")).status_code == 303
    assert (await ehr.http.get("/auth/account")).status_code == 200


async def test_what_was_signed_in_long_ago_cannot_change_how_one_signs_in(
    ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _sign_in(ehr)
    monkeypatch.setattr("fhir_server.api.auth.account.FRESH", -1)
    assert (await _act(ehr, "authenticator")).status_code == 403
    assert (await _act(ehr, "sign-out-elsewhere")).status_code == 200
    form = _form((await ehr.http.get("/auth/account")).text)
    assert (await ehr.http.post("/auth/passkeys/options", json={"form": form})).status_code == 403


class Key:
    """A security key in software. Spec: https://www.w3.org/TR/webauthn-3/#sctn-authenticator-data"""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = b"key-1" * 4
        self.count = 0
        self.user = ""

    def created(self, options: dict[str, Any], origin: str = ORIGIN) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + key
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(options["rp"]["id"], 0x45) + attested}
        self.user = options["user"]["id"]
        return self._credential({
            "clientDataJSON": _b64(self._client("webauthn.create", options, origin)),
            "attestationObject": _b64(cbor2.dumps(statement)),
        })  # fmt: skip

    def signed(self, options: dict[str, Any], origin: str = ORIGIN, flags: int = 0x05) -> dict[str, Any]:
        self.count += 1
        data, client = self._data(options["rpId"], flags), self._client("webauthn.get", options, origin)
        signature = self.private.sign(data + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential({
            "clientDataJSON": _b64(client), "authenticatorData": _b64(data), "signature": _b64(signature),
            "userHandle": self.user,
        })  # fmt: skip

    def _data(self, host: str, flags: int) -> bytes:
        return sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, options: dict[str, Any], origin: str) -> bytes:
        text = f'{{"type":"{kind}","challenge":"{options["challenge"]}","origin":"{origin}","crossOrigin":false}}'
        return text.encode()

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {"id": _b64(self.id), "rawId": _b64(self.id), "type": "public-key", "response": response}


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


async def _with_key(ehr: Ehr) -> Key:
    key = Key()
    await _sign_in(ehr)
    form = _form((await ehr.http.get("/auth/account")).text)
    asked = (await ehr.http.post("/auth/passkeys/options", json={"form": form})).json()
    sent = {"form": form, "handle": asked["handle"], "credential": key.created(asked["options"]), "name": "Mine"}
    answer = await ehr.http.post("/auth/passkeys/register", json=sent)
    assert answer.status_code == 200, answer.text
    again = await ehr.http.post("/auth/passkeys/register", json=sent)
    assert again.status_code == 400, "a challenge is good once"
    assert "Mine" in (await ehr.http.get("/auth/account")).text
    ehr.http.cookies.clear()
    return key


async def _by_key(ehr: Ehr, key: Key, **how: Any) -> httpx.Response:
    asked = (await ehr.http.post("/auth/passkeys/sign-in-options", json={})).json()
    sent = {"handle": asked["handle"], "credential": key.signed(asked["options"], **how)}
    return await ehr.http.post("/auth/passkeys/sign-in", json=sent)


async def test_a_passkey_signs_in_and_a_forged_one_does_not(ehr: Ehr) -> None:
    key = await _with_key(ehr)
    assert (await _by_key(ehr, key, origin="http://evil.example")).status_code == 403
    assert (await _by_key(ehr, key, flags=0x01)).status_code == 403, "the user was not verified"
    thief = Key()
    thief.user = key.user
    assert (await _by_key(ehr, thief)).status_code == 403
    answer = await _by_key(ehr, key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["location"].endswith("/auth/manage?request=")
    assert "Mine" in (await ehr.http.get("/auth/account")).text
    key.count = 0
    assert (await _by_key(ehr, key)).status_code == 403, "a counter that goes back is a copy"
    passkey = re.findall(r'name="passkey" value="([^"]+)"', (await ehr.http.get("/auth/account")).text)[0]
    await _act(ehr, "passkey-remove", passkey=passkey)
    key.count = 10
    assert (await _by_key(ehr, key)).status_code == 403


async def test_other_sites_cannot_use_the_passkey_endpoints(ehr: Ehr) -> None:
    cross = {"sec-fetch-site": "cross-site"}
    assert (await ehr.http.post("/auth/passkeys/sign-in-options", json={}, headers=cross)).status_code == 403
    form = {"content-type": "text/plain"}
    assert (await ehr.http.post("/auth/passkeys/sign-in-options", content="{}", headers=form)).status_code == 403


async def test_who_is_switched_off_loses_sessions_and_tokens_at_once(ehr: Ehr) -> None:
    grant = await ehr.granted("user/*.rs offline_access")
    assert (await ehr.fhir("Patient", grant["access_token"])).status_code == 200
    await change_user(ehr.desk, ehr.doctor, UserAsked(active=False))
    assert (await ehr.http.get("/auth/account")).status_code == 303
    form = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"], "client_id": "public-app"}
    assert (await ehr.token(form)).status_code == 400
    time.sleep(1.1)
    assert (await ehr.fhir("Patient", grant["access_token"])).status_code == 401
    assert (await _sign_in(ehr)).status_code == 403


async def test_a_sign_in_under_way_does_not_undo_that_one_is_switched_off(
    ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _sign_in(ehr, password="wrong password")
    check = users._matches

    def slow(hashed: str, password: str) -> bool:
        time.sleep(0.3)
        return check(hashed, password)

    monkeypatch.setattr(users, "_matches", slow)
    answer, _ = await asyncio.gather(_sign_in(ehr), lock(ehr.desk, ehr.doctor))
    assert answer.status_code == 403
    assert await find_user(ehr.desk, ehr.doctor.id) is None
