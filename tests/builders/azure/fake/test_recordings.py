"""The fake answers as the real Azure did: recorded exchanges, asked again.

Of each answer the status, the polling headers and the names of all members of the body must be those that were
recorded; so must be the states that the body tells.
"""

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential

from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.settings import SUBSCRIPTION

FOLDER = Path(__file__).with_name("recordings")
NAMES = sorted(it.stem for it in FOLDER.glob("*.json"))
EXCHANGES = 193
RECORDED = "00000000-0000-0000-0000-000000000000"

_OPERATION = re.compile(r"/(?:operations|DiskOperations|capsOperations|operationResults|operationresults)/([^/?]+)")
_STATES = {"status", "provisioningState", "code", "diskState"}
_LEFT_OUT = (".extensionHandlers", ".extensions", ".resources", ".vnetEncryptionSupported")
"""What is there because of extensions, whose calls were left out; what Azure told at one time and not at another."""


class Replay:
    """One recording before the fake."""

    def __init__(self, fake: FakeAzure, exchanges: list[dict[str, Any]]) -> None:
        self.fake = fake
        self.exchanges = exchanges
        self.token = DefaultAzureCredential().get_token(f"{fake.url}/.default").token
        trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(fake.authority)))
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
        self.operations: dict[str, dict[str, str]] = {}
        """The fake's polling headers, by the operations' recorded names."""

    def run(self) -> Iterator[tuple[dict[str, Any], int, dict[str, str], Any]]:
        """Each exchange, with what the fake answers."""
        for number, exchange in enumerate(self.exchanges):
            self.fake.settings(pace={"polls": self._polls_after(number)})
            url = self._url(exchange)
            status, headers, body = self._ask(exchange["method"], url, exchange["request"])
            for name in _names(exchange):
                self.operations[name] = headers
            yield exchange, status, headers, body

    def _polls_after(self, number: int) -> int:
        """How often the operation that this exchange begins was asked for until it had ended."""
        names = _names(self.exchanges[number])
        asked = [
            it["path"]
            for it in self.exchanges[number + 1 :]
            if (found := _OPERATION.search(it["path"])) and found[1] in names
        ]
        return max(1, len([it for it in asked if "monitor=true" not in it]))

    def _url(self, exchange: dict[str, Any]) -> str:
        found = _OPERATION.search(exchange["path"])
        if found is None or exchange["method"] != "GET":
            return self.fake.url + exchange["path"].replace(RECORDED, SUBSCRIPTION)
        headers = self.operations[found[1]]
        monitor = "monitor=true" in exchange["path"] or "/operationresults/" in exchange["path"].lower()
        return headers["location" if monitor else "azure-asyncoperation"]

    def _ask(self, method: str, url: str, body: Any) -> tuple[int, dict[str, str], Any]:
        sent = None if body is None else json.dumps(body).replace(RECORDED, SUBSCRIPTION).encode()
        request = urllib.request.Request(url, data=sent, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, _json(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, _json(error.read())


def _json(text: bytes) -> Any:
    return json.loads(text) if text else None


def _names(exchange: dict[str, Any]) -> set[str]:
    found = (_OPERATION.search(it) for it in exchange["polling"].values())
    return {it[1] for it in found if it}


def told(value: Any, path: str = "") -> set[str]:
    """The names of all members, and the values of those that are states. Of lists, what their items have in them."""
    if isinstance(value, dict):
        found = set()
        for name, it in value.items():
            here = f"{path}.{name}"
            found |= {f"{here}={it}"} if name in _STATES and isinstance(it, str) else {here}
            if name != "tags":
                found |= told(it, here)
        return found
    if isinstance(value, list):
        return {it for one in value for it in told(one, f"{path}[]")}
    return set()


def comparable(names: set[str]) -> set[str]:
    """Without what cannot be the same."""
    return {it for it in names if not any(word in it for word in _LEFT_OUT)}


@pytest.mark.parametrize("name", NAMES)
def test_the_fake_answers_as_azure_did(azure: FakeAzure, as_caller: Any, name: str) -> None:
    as_caller(azure)
    exchanges = json.loads((FOLDER / f"{name}.json").read_text())
    locations = [it["request"]["location"] for it in exchanges if it["request"] and "location" in it["request"]]
    if name != "resource-group":
        azure.group("rgname", location=(locations or ["eastus"])[0])
    azure.settings(shout=False)
    for exchange, status, headers, body in Replay(azure, exchanges).run():
        what = f"{exchange['method']} {exchange['path']}"
        assert status == exchange["status"], f"{what}: {body}"
        polling = {it for it in ("azure-asyncoperation", "location") if it in headers}
        assert polling == set(exchange["polling"]), what
        assert comparable(told(body)) == comparable(told(exchange["response"])), what


def test_the_recordings_are_all_there() -> None:
    assert sum(len(json.loads((FOLDER / f"{it}.json").read_text())) for it in NAMES) == EXCHANGES
