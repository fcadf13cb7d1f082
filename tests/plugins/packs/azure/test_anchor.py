"""Heads anchored in a container."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elspeth import run
from elspeth.api.verify import verify, verify_proof
from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.heads import Head
from elspeth.plugins.packs.azure.anchor import AnchorPlace, BlobAnchor, anchored_lines
from elspeth.testing.azurite import ACCOUNT, Azurite
from elspeth.testing.fault_proxy import Fault, FaultProxy

HEAD = Head(1, 7, "elspeth/run/run-1", 10, b"\1" * 32, "elspeth/run/run-1\n10\nAQ==\n")
ACME = "https://acme.blob.core.windows.net"


@pytest.fixture
def url(storage: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.server.connection_string)
    return f"{storage.server.url}/{storage.container}/heads/prod"


@pytest.mark.parametrize(
    ("given", "account", "container", "prefix", "days", "locked"),
    [
        (f"{ACME}/heads", ACME, "heads", "", 0, False),
        (f"{ACME}/heads/a/b%20c/?keep_days=30&locked=true", ACME, "heads", "a/b c", 30, True),
        ("http://127.0.0.1:10000/dev/heads/p", "http://127.0.0.1:10000/dev", "heads", "p", 0, False),
    ],
)
def test_urls(given: str, account: str, container: str, prefix: str, days: int, locked: bool) -> None:
    assert AnchorPlace.of(given) == AnchorPlace(account, container, prefix, days, locked)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("https://acme.blob.core.windows.net", "is no place for anchors"),
        ("https://acme.blob.core.windows.net/heads?keep=3", "is no place for anchors"),
        ("https://acme.blob.core.windows.net/heads?keep_days=-1", "is no place for anchors"),
        ("https://acme.blob.core.windows.net/heads?sv=1&sig=secret", "may not hold a signature"),
    ],
)
def test_urls_that_are_refused(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        AnchorPlace.of(given)
    assert "sig=secret" not in str(raised.value)


def test_the_credential_comes_from_the_variables() -> None:
    place = AnchorPlace.of("https://acme.blob.core.windows.net/heads")
    assert place.login({}).way() == "use_default_credential"
    assert place.login({"AZURE_STORAGE_KEY": "a2V5"}).way() == "account_key"
    assert place.login({"AZURE_STORAGE_SAS_TOKEN": "sig=x"}).way() == "sas_token"
    other = "AccountName=other;AccountKey=a2V5;EndpointSuffix=core.windows.net"
    with pytest.raises(UsageError, match=r"is for https://other\.blob"):
        place.login({"AZURE_STORAGE_CONNECTION_STRING": other})


def test_a_head_is_written_once(storage: Any, url: str) -> None:
    anchor = BlobAnchor.open(url)
    anchor.put(HEAD)
    anchor.put(HEAD)  # its answer was lost
    with pytest.raises(LandscapeError, match="another head is anchored at") as raised:
        anchor.put(replace(HEAD, root=b"\2" * 32))
    anchor.close()
    assert "was changed after it was anchored" in raised.value.fix
    assert storage.names() == ["heads/prod/run-1/00000007.json"]


def test_a_run_is_anchored_and_verified(storage: Any, url: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id\n1\n2\n")
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(
        "source: {plugin: csv, options: {path: in.csv}}\n"
        "sinks: {out: {plugin: csv, options: {path: out.csv}}}\n"
        f'landscape: {{anchor: "{url}"}}\n'
    )
    result = run(pipeline)
    names = storage.names()
    assert len(names) >= 2
    assert all(name.startswith(f"heads/prod/{result.run_id}/") for name in names)
    report = verify(anchor=url)
    assert report.ok
    assert report.notes == []
    # A downloaded copy, put together, is an anchor file.
    (tmp_path / "heads.jsonl").write_bytes(b"".join(anchored_lines(url)))
    assert verify(anchor=tmp_path / "heads.jsonl").ok
    with LandscapeDB.from_url("sqlite:///.elspeth/landscape.db").engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM tree_heads WHERE head_no = (SELECT max(head_no) FROM tree_heads)"
        )
    assert not verify(anchor=url).ok


def test_a_container_that_is_not_there_stops_before_anything_is_written(
    storage: Any, url: str, tmp_path: Path
) -> None:
    pipeline = tmp_path / "p.yaml"
    (tmp_path / "in.csv").write_text("id\n1\n")
    missing = f"{storage.server.url}/not-there"
    pipeline.write_text(
        "source: {plugin: csv, options: {path: in.csv}}\n"
        "sinks: {out: {plugin: csv, options: {path: out.csv}}}\n"
        f'landscape: {{anchor: "{missing}"}}\n'
    )
    with pytest.raises(LandscapeError, match=r"heads can't be anchored: .*container not found"):
        run(pipeline)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / ".elspeth").exists()
    with pytest.raises(NotFoundError, match="there are no anchors"):
        verify_proof(tmp_path / "p.yaml", anchor=missing)


def test_immutability_at_the_wire(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator ignores these headers in silence, so that what was sent is looked at instead."""
    with FaultProxy(storage.server.endpoint) as proxy:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", Azurite.connection_string_for(proxy.endpoint))
        place = f"{proxy.endpoint}/{ACCOUNT}/{storage.container}"
        for query in ("", "?keep_days=30", "?keep_days=30&locked=true"):
            anchor = BlobAnchor.open(f"{place}/{len(query)}{query}")
            anchor.put(HEAD)
            anchor.close()
        puts = [one for one in proxy.seen if one.method == "PUT" and one.status == 201]
    plain, kept, locked = [{name.lower(): value for name, value in one.headers.items()} for one in puts]
    assert all(one["if-none-match"] == "*" for one in (plain, kept, locked))
    assert "x-ms-immutability-policy-mode" not in plain
    assert kept["x-ms-immutability-policy-mode"] == "Unlocked"
    assert kept["x-ms-immutability-policy-until-date"].endswith("GMT")
    assert locked["x-ms-immutability-policy-mode"] == "Locked"


def test_a_lost_answer_is_no_second_head(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Fault.NONE, Fault.LOST])
    with FaultProxy(storage.server.endpoint, lambda _method, _path: next(answers, Fault.NONE)) as proxy:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", Azurite.connection_string_for(proxy.endpoint))
        anchor = BlobAnchor.open(f"{proxy.endpoint}/{ACCOUNT}/{storage.container}")
        anchor.put(HEAD)
        anchor.close()
    assert storage.names() == ["run-1/00000007.json"]
