"""Secrets from a key vault, asked over HTTP; and what a pipeline does with one."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from elspeth import run
from elspeth.contracts.errors import ElspethError, UsageError
from elspeth.providers.azure_vault import SCOPE, read_secrets

SECRET = "s3cr3t-of-the-vault"


class Vault(ThreadingHTTPServer):
    """Answers each secret with what is in ``answers``: status codes first, then the value."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Vault

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.asked.append((path, self.headers["Authorization"]))
        assert query == "api-version=7.4"
        left = self.server.answers.get(path.removeprefix("/secrets/"), [404])
        answer = left.pop(0) if len(left) > 1 else left[0]
        body = b"<html>" if answer is None else json.dumps({"value": answer}).encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        if answer == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def vault() -> Iterator[Vault]:
    with Vault({}) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(vault: Vault, *names: str) -> dict[str, str | ElspethError]:
    return read_secrets(f"{vault.url}/", names, lambda: "token", lambda _: None)


def test_a_secret_is_read_with_the_token(vault: Vault) -> None:
    vault.answers = {"a": ["one"], "b": [429, 503, "two"]}
    assert ask(vault, "a", "b", "a") == {"a": "one", "b": "two"}
    assert vault.asked[0] == ("/secrets/a", "Bearer token")
    assert len(vault.asked) == 4


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (404, "has no secret 'x'"),
        (403, "may not read the secret 'x'"),
        (500, "answered 500"),
        (302, "answered 302"),
    ],
)
def test_what_a_vault_refuses_is_said(vault: Vault, code: int, what: str) -> None:
    vault.answers = {"x": [code], "a": ["one"]}
    found = ask(vault, "x", "a")
    assert found["a"] == "one"
    assert what in str(found["x"])


def test_what_is_no_vault(vault: Vault) -> None:
    vault.answers = {"x": [None]}
    with pytest.raises(ElspethError, match="is no key vault"):
        ask(vault, "x")
    with pytest.raises(UsageError, match="over https only"):
        read_secrets("http://vault.example", ["x"], lambda: "token")
    gone = vault.url
    vault.shutdown()
    vault.server_close()
    with pytest.raises(ElspethError, match="can't be reached"):
        read_secrets(gone, ["x"], lambda: "token", lambda _: None)


def test_a_pipeline_reads_its_secrets_there_and_keeps_them_out_of_the_record(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scopes: list[str] = []
    monkeypatch.setattr(
        "elspeth.providers.azure_tokens.token_provider",
        lambda scope, *_: (scopes.append(scope), lambda: "token")[1],
    )
    vault.answers = {"limit": [SECRET]}
    Path("in.csv").write_text(f"id,word\n1,{SECRET}\n2,plain\n")
    Path("p.yaml").write_text(
        f"""
source: {{plugin: csv, options: {{path: in.csv}}}}
gates:
  - name: g
    condition: "row['word'] == '${{WORD}}'"
    routes: {{"true": discard, "false": output}}
sinks: {{output: {{plugin: csv, options: {{path: out.csv}}}}}}
secrets: {{source: keyvault, vault_url: "{vault.url}", mapping: {{WORD: limit}}}}
"""
    )
    result = run("p.yaml")
    assert result.outcomes == {"DISCARDED": 1, "ROUTED": 1}
    assert scopes == [SCOPE]
    told = Path("p.yaml").read_text() + str(result)
    assert SECRET not in told
    stored = b"".join(path.read_bytes() for path in Path(".elspeth").rglob("*") if path.is_file())
    assert stored.count(SECRET.encode()) == 1  # the row's own, which is data
    del vault.answers["limit"]
    with pytest.raises(ElspethError, match="has no secret 'limit'"):
        run("p.yaml")
