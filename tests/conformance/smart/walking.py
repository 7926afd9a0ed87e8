"""A user at the pages: reads what they show, fills in what they ask for, until the browser is back at the app."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlsplit

import httpx

PASSWORD = "correct horse battery"


@dataclass
class Walk:
    """One way through the pages. `choices`: find, patient, encounter, decision, without (scopes to take away)."""

    http: httpx.AsyncClient
    redirect: str
    name: str = "doc"
    choices: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    async def end(self, answer: httpx.Response) -> str:
        """Return the address at which the app is answered."""
        for _ in range(12):
            location = answer.headers.get("location", "")
            if location.startswith(self.redirect):
                return str(location)
            answer = await (self.http.get(location) if location else self._filled(answer))
        raise AssertionError(answer.text)

    async def _filled(self, answer: httpx.Response) -> httpx.Response:
        text, fields, choices = answer.text, dict[str, str](), self.choices
        for tag in re.findall(r"<input[^>]*>", text):
            found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            if found.get("type") == "hidden" or "checked" in tag:
                fields[found["name"]] = unescape(found.get("value", ""))
        path = urlsplit(str(answer.url)).path
        self.steps.append(path)
        if path.endswith("sign-in"):
            return await self.http.post(path, data=fields | {"name": self.name, "password": PASSWORD})
        if "Whose record" in text:
            shown = {"patient": choices["patient"]} if 'type="radio"' in text else {"find": choices["find"]}
            return await self.http.get(path, params={"request": fields["request"]} | shown)
        if "Which visit" in text:
            return await self.http.get(path, params=fields | {"encounter": choices.get("encounter", "-")})
        kept = {key: value for key, value in fields.items() if value not in choices.get("without", "").split()}
        return await self.http.post(path, data=kept | {"decision": choices.get("decision", "allow")})
