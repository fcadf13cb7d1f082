"""What a fleet command does is on record: every call, every machine, and the secrets of neither."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.api.fleet import apply_fleet, plan_fleet
from elspeth.cli.main import main
from elspeth.core.landscape.database import LandscapeDB
from elspeth.fabric.fleet_file import FleetSettings
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm import ArmServer

FILE = """\
fleet: web
subscription_id: {subscription}
resource_group: rg
regions: [westeurope]
sizes: [Standard_B1s]
count: 2
budget: {{per_hour: 0.05}}
prices: {{Standard_B1s: 0.01}}
cloud_init: "password: swordfish"
"""
CALLS = """\
SELECT c.request, c.response, s.token_id, t.row_id FROM calls c JOIN runs r ON r.run_id = c.run_id
LEFT JOIN node_states s ON s.state_id = c.state_id LEFT JOIN tokens t ON t.token_id = s.token_id
WHERE c.call_type = 'arm' AND r.pipeline = 'fleet apply rg/web' ORDER BY c.created_at
"""


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A fleet that was planned and applied."""
    with ArmServer(speed=300.0) as running:

        def client(settings: FleetSettings) -> AzureVMClient:
            return AzureVMClient(running.credential, settings.subscription_id, **running.connection())

        monkeypatch.setattr("elspeth.api.fleet_desk.make_client", client)
        monkeypatch.chdir(tmp_path)
        file = Path("fleet.yaml")
        file.write_text(FILE.format(subscription=running.subscription_id), encoding="utf-8")
        apply_fleet(file, plan_fleet(file).plan.digest)
        yield


@pytest.mark.usefixtures("applied")
def test_every_request_is_a_call_of_its_machine() -> None:
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db", create=False)
    with db.reading() as connection:
        rows = connection.exec_driver_sql(CALLS).all()
        events = connection.exec_driver_sql("SELECT kind FROM run_events ORDER BY run_no, ordinal").scalars()
        kinds = list(events)
    db.close()
    asked = [json.loads(row[0]) | {"of": row[3]} for row in rows]
    made = [
        one for one in asked if one["method"] == "PUT" and one["path"].endswith("/virtualMachines/web-000")
    ]
    assert [one["of"].partition("@")[0] for one in made] == ["web-000"]
    assert made[0]["body"]["properties"]["osProfile"]["customData"].keys() == {"sha256"}
    assert all(json.loads(row[1])["request_id"] for row in rows)
    kinds = [kind for kind in kinds if kind != "manifest"]
    assert kinds == ["planned", "planned", "approved", "intent", "intent", "result"]
    assert b"swordfish" not in Path(".elspeth/landscape.db").read_bytes()


@pytest.mark.usefixtures("applied")
def test_the_record_of_a_fleet_proves_itself_and_is_exported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["runs"][0]
    assert run["pipeline"] == "fleet apply rg/web"
    assert main(["explain", run["run_id"], "--row", "0", "--json"]) == 0
    assert "web-000" in capsys.readouterr().out
    assert main(["export", run["run_id"], "--output", "out.jsonl"]) == 0
    assert "virtualMachines/web-000" in Path("out.jsonl").read_text(encoding="utf-8")
    assert main(["resume", run["run_id"]]) == 2
    assert "it is `elspeth fleet apply rg/web`" in capsys.readouterr().err


@pytest.mark.usefixtures("applied")
def test_why_does_this_machine_exist_who_approved_it_what_did_it_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "--resource", "web-001"]) == 0
    told = capsys.readouterr().out
    assert "web-001  of rg/web  exists" in told
    assert "create" in told
    assert "approved by " in told
    assert "PUT Microsoft.Compute/virtualMachines/web-001 → 201" in told
    assert "less than a cent: " in told
    assert main(["explain", "--resource", "web-001", "--json"]) == 0
    story = json.loads(capsys.readouterr().out)["resources"][0]
    assert story["approved_by"] == [story["deeds"][0]["decisions"][0]["by"]]
    assert story["deeds"][0]["plan"]["digest"] == story["deeds"][0]["facts"]["plan"]
    assert story["billed"][0]["price_per_hour"] == 0.01
    assert 0 < story["cost"] < 0.01
    assert main(["explain", "--resource", "web-01"]) == 2
    assert "did you mean web-0" in capsys.readouterr().err
    assert main(["explain", "--resource", "web-001", "--row", "0"]) == 2
    assert "can't be combined with --row" in capsys.readouterr().err
