"""A provider that must show a signed manifest and can't is not loaded: no request is made."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.fabric.fleet_file import FleetSettings
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm import ArmServer

FILE = """\
fleet: web
subscription_id: {subscription}
resource_group: rg
regions: [westeurope]
sizes: [Standard_B1s]
count: 1
budget: {{per_hour: 0.05}}
prices: {{Standard_B1s: 0.01}}
manifest: {{file: azure_vm.dsse.json, require_signed: true, trusted_keys: ["{key}"]}}
"""


@pytest.fixture
def plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Callable[..., Any]
) -> Iterator[Callable[[], Any]]:
    """`elspeth fleet plan` with a signed manifest; fails if a client is made that should not be."""
    monkeypatch.chdir(tmp_path)
    key = json.loads(cli("keys", "new", "--json").out)["key"]
    Path("azure_vm.json").write_text(cli("providers", "manifest", "azure_vm").out, encoding="utf-8")
    assert cli("manifest", "sign", "azure_vm.json", "--key", "elspeth-signing.key").code == 0
    with ArmServer(speed=300.0) as running:

        def client(settings: FleetSettings) -> AzureVMClient:
            return AzureVMClient(running.credential, settings.subscription_id, **running.connection())

        monkeypatch.setattr("elspeth.api.fleet_desk.make_client", client)
        content = FILE.format(subscription=running.subscription_id, key=key)
        Path("fleet.yaml").write_text(content, encoding="utf-8")
        yield lambda: cli("fleet", "plan", "fleet.yaml")


def sign(manifest: dict[str, Any], cli: Callable[..., Any], key: str = "elspeth-signing.key") -> None:
    Path("azure_vm.dsse.json").unlink()
    Path("azure_vm.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert cli("manifest", "sign", "azure_vm.json", "--key", key).code == 0


def test_signed_by_a_pinned_key_it_is_used_and_that_is_on_record(
    plan: Callable[[], Any], cli: Callable[..., Any]
) -> None:
    said = plan()
    assert said.code == 0, said.err
    run = json.loads(cli("runs", "--json").out)["runs"][0]["run_id"]
    assert cli("export", run, "--output", "out.jsonl").code == 0
    assert "elspeth/" in next(
        line for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines() if '"manifest"' in line
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("missing", "there is no manifest at"),
        ("altered", "none of the trusted keys signed"),
        ("unsigned", "is not signed"),
        ("expired", "expired at 2020-01-01"),
        ("another key", "none of the trusted keys signed"),
        ("another provider", "is the manifest of 'azure_blob'"),
    ],
)
def test_anything_else_is_refused_before_the_provider_is_loaded(
    plan: Callable[[], Any], cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, wrong: str, told: str
) -> None:
    def client(settings: FleetSettings) -> AzureVMClient:
        raise AssertionError("the provider was loaded")

    monkeypatch.setattr("elspeth.api.fleet_desk.make_client", client)
    signed = Path("azure_vm.dsse.json")
    manifest = json.loads(Path("azure_vm.json").read_text(encoding="utf-8"))
    if wrong == "missing":
        signed.unlink()
    elif wrong == "altered":
        envelope = json.loads(signed.read_text(encoding="utf-8"))
        envelope["payload"] = "A" + envelope["payload"][1:]
        signed.write_text(json.dumps(envelope), encoding="utf-8")
    elif wrong == "unsigned":
        signed.write_text(json.dumps(manifest), encoding="utf-8")
    elif wrong == "expired":
        sign({**manifest, "expires_at": "2020-01-01T00:00:00Z"}, cli)
    elif wrong == "another key":
        assert cli("keys", "new", "--out", "others").code == 0
        sign(manifest, cli, "others/elspeth-signing.key")
    else:
        sign({**manifest, "provider": "azure_blob"}, cli)
    said = plan()
    assert said.code == 1
    assert told in said.err


def test_keys_must_be_pinned_where_signatures_count(plan: Callable[[], Any]) -> None:
    file = Path("fleet.yaml")
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("manifest:")] + "manifest: {require_signed: true}\n", encoding="utf-8")
    said = plan()
    assert said.code == 2
    assert "no key is trusted" in said.err
