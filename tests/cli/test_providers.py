"""``elspeth providers``: health of whatever was called, from the record."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from elspeth.api.providers import SHIPPED, manifests, serve_metrics
from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.operations import OperationStart, operation
from elspeth.fabric.health.history import OTHER
from elspeth.providers.azure_vm.record import operation_of

START = OperationStart("fleet apply", "rg/web", {}, "azure_vm")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Calls of three providers on record."""
    monkeypatch.chdir(tmp_path)
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with operation(db, START) as doing:
        for number in range(20):
            status = "error" if number == 0 else "success"
            doing.record_call(made("arm", status, "azure_vm", "PUT virtualMachines", {"status": 503}))
            doing.record_call(made("blob", "success", "azure_blob", "upload_blob"))
            doing.record_call(made("llm", "success", "openrouter", "chat"))
            doing.record_call(made("llm", "success", "openrouter (replayed)", "chat"))
    db.close()


def made(kind: str, status: str, provider: str, what: str, response: Any = None) -> ExternalCall:
    error = {"reason": "ServerBusy"} if status == "error" else None
    return ExternalCall(kind, status, {}, response, error, 12.0, provider, operation=what)


@pytest.mark.usefixtures("calls")
def test_every_kind_of_call_counts(cli: Callable[..., Any]) -> None:
    said = cli("providers", "status", "--json")
    found = {one["provider"]: one for one in json.loads(said.out)["providers"]}
    assert sorted(found) == ["azure_blob", "azure_vm", "openrouter"]
    capability = next(
        one for one in found["azure_vm"]["capabilities"] if one["capability"] == "machines.write"
    )
    hour = capability["windows"]["1h"]
    assert (hour["calls"], hour["failed"], hour["availability"]) == (20, 1, 0.95)
    assert hour["burn_rate"] == pytest.approx(10.0)
    assert hour["p95_ms"] == 12.0
    assert not found["openrouter"]["promised"]
    assert found["openrouter"]["capabilities"][0]["windows"]["30d"]["calls"] == 20
    told = cli("providers", "status").out
    assert "machines.write" in told
    assert "95.000%" in told
    assert "no manifest: nothing is promised" in told


@pytest.mark.usefixtures("calls")
def test_prometheus_reads_it(cli: Callable[..., Any]) -> None:
    labels = 'capability="machines.write",provider="azure_vm",window="1h"'
    text = cli("providers", "status", "--prometheus").out
    assert f"elspeth_provider_availability_ratio{{{labels}}} 0.95" in text


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.usefixtures("calls")
def test_prometheus_can_ask() -> None:
    port = free_port()
    end = serve_metrics("127.0.0.1", port)
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert "elspeth_provider_reputation" in answer.read().decode()
        with pytest.raises(UsageError, match="can't be listened on"):
            serve_metrics("127.0.0.1", port)
    finally:
        end()


@pytest.mark.usefixtures("calls")
def test_a_manifest_of_ones_own_replaces_ours_and_must_be_signed_if_a_key_is_given(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    text = cli("providers", "manifest", "azure_vm").out
    own = json.loads(text)
    own["capabilities"][1]["slo_targets"]["availability"] = 0.9
    Path("own.json").write_text(json.dumps(own), encoding="utf-8")
    said = cli("providers", "status", "--manifest", "own.json", "--json")
    machines = next(one for one in json.loads(said.out)["providers"] if one["provider"] == "azure_vm")
    write = next(one for one in machines["capabilities"] if one["capability"] == "machines.write")
    assert write["windows"]["1h"]["burn_rate"] == pytest.approx(0.5)
    key = Path(json.loads(cli("keys", "new", "--json").out)["public"]).name
    refused = cli("providers", "status", "--manifest", "own.json", "--key", key)
    assert refused.code == 1
    assert "own.json is not signed" in refused.err
    assert cli("manifest", "sign", "own.json", "--key", "elspeth-signing.key").code == 0
    assert cli("providers", "status", "--manifest", "own.dsse.json", "--key", key).code == 0


def test_no_calls_is_no_error(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    LandscapeDB.from_url("sqlite:///.elspeth/landscape.db").close()
    assert "no calls in the last 30 days" in cli("providers", "status").err
    assert "there is no provider 'x'" in cli("providers", "manifest", "x").err


def test_our_manifests_know_what_our_clients_ask_for() -> None:
    known = manifests()
    assert set(known) == set(SHIPPED)
    listed = {
        one
        for manifest in known.values()
        for capability in manifest.capabilities
        for one in capability.operations
    }
    base = "/subscriptions/s/resourceGroups/rg/providers/Microsoft"
    for method, path in (
        ("PUT", f"{base}.Compute/virtualMachines/vm"),
        ("POST", f"{base}.Compute/virtualMachines/vm/start"),
        ("GET", f"{base}.Network/virtualNetworks/net/subnets/default"),
        ("GET", "/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/operations/1"),
        ("GET", "/subscriptions/s/resourcegroups/rg"),
    ):
        assert operation_of(method, path) in listed
    assert OTHER not in {capability.id for manifest in known.values() for capability in manifest.capabilities}
