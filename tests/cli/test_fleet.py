"""Fleets on the command line, against the server that speaks Azure's protocol."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.cli.main import main
from elspeth.fabric.fleet_file import FleetSettings
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm import ArmServer

FILE = """\
fleet: web
subscription_id: {subscription}
resource_group: rg
location: westeurope
size: Standard_B1s
count: 2
spot: true
budget_per_hour: 0.05
prices: {{Standard_B1s: 0.01}}
cores: {{Standard_B1s: 1}}
tags: {{team: data}}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ArmServer]:
    """The server, a fleet file for it, and a client that trusts its certificate."""
    with ArmServer(speed=300.0) as running:

        def client(settings: FleetSettings) -> AzureVMClient:
            return AzureVMClient(running.credential, settings.subscription_id, **running.connection())

        monkeypatch.setattr("elspeth.api.fleet.make_client", client)
        (tmp_path / "fleet.yaml").write_text(
            FILE.format(subscription=running.subscription_id), encoding="utf-8"
        )
        monkeypatch.chdir(tmp_path)
        yield running


def test_plan_apply_status_heal_destroy_sweep(server: ArmServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "plan", "fleet.yaml"]) == 0
    said = capsys.readouterr()
    assert "+ web-000  Standard_B1s in westeurope, spot" in said.out
    assert "the whole fleet: $0.02 per hour" in said.out
    assert server.world.resources == {}
    digest = said.out.rsplit("digest ", 1)[1].strip()
    assert main(["fleet", "apply", "fleet.yaml", "--digest", "0" * 64]) == 3
    assert "the file or the world has changed" in capsys.readouterr().err
    assert server.world.resources == {}

    assert main(["fleet", "apply", "fleet.yaml", "--digest", digest]) == 0
    assert "2 machines, $0.02 per hour" in capsys.readouterr().out
    assert main(["fleet", "plan", "fleet.yaml"]) == 0
    assert "nothing to do" in capsys.readouterr().out

    machine = next(item for item in server.world.resources.values() if item.body["name"] == "web-001")
    assert machine.body["tags"]["team"] == "data"
    server.world.evict(machine.id)
    assert main(["fleet", "status", "fleet.yaml", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in status["machines"]] == ["running", "stopped"]
    assert status["cost_per_hour"] == 0.01
    assert main(["fleet", "plan", "fleet.yaml", "--json"]) == 0
    healing = json.loads(capsys.readouterr().out)
    assert [unit["name"] for unit in healing["changes"]] == ["web-001"]
    assert main(["fleet", "apply", "fleet.yaml", "--digest", healing["digest"], "--json"]) == 0
    assert [one["status"] for one in json.loads(capsys.readouterr().out)["machines"]] == ["running"] * 2

    assert main(["fleet", "destroy", "fleet.yaml"]) == 2
    assert "say so: --yes" in capsys.readouterr().err
    assert main(["fleet", "destroy", "fleet.yaml", "--yes"]) == 0
    assert "2 machines deleted" in capsys.readouterr().out
    assert main(["fleet", "sweep", "fleet.yaml"]) == 0
    assert "0 strays deleted" in capsys.readouterr().out
    kinds = {item.kind.rsplit("/", 1)[1] for item in server.world.resources.values()}
    assert kinds == {"resourceGroups", "virtualNetworks", "subnets"}


def test_a_budget_of_nothing_buys_nothing(server: ArmServer, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("fleet.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace("0.05", "0"), encoding="utf-8")
    assert main(["fleet", "plan", "fleet.yaml"]) == 3
    assert "$0.02 per hour, $0.00 are allowed" in capsys.readouterr().err


def test_everything_that_is_wrong_with_a_file_is_told_at_once(
    server: ArmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path("fleet.yaml")
    text = (
        file.read_text(encoding="utf-8")
        .replace("count: 2", "count: many")
        .replace("spot: true", "spott: true")
    )
    file.write_text(text, encoding="utf-8")
    assert main(["fleet", "plan", "fleet.yaml"]) == 2
    said = capsys.readouterr().err
    assert "fleet.yaml:6" in said
    assert "spott" in said
    assert "did you mean" in said
    file.write_text(
        file.read_text(encoding="utf-8").replace("Standard_B1s: 0.01", "Other: 1.0"), encoding="utf-8"
    )
    assert main(["fleet", "plan", "nowhere.yaml"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_size_without_a_price_is_refused(server: ArmServer, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("fleet.yaml")
    file.write_text(
        file.read_text(encoding="utf-8").replace("Standard_B1s: 0.01", "Other: 1.0"), encoding="utf-8"
    )
    assert main(["fleet", "plan", "fleet.yaml"]) == 2
    assert "prices does not have the size Standard_B1s" in capsys.readouterr().err
