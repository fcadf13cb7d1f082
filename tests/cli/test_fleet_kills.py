"""A `fleet apply` that is killed at any call goes on with the same digest, and leaves nothing behind."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.api.fleet import apply_fleet, destroy_fleet, fleet_status, plan_fleet, sweep_fleet
from elspeth.core.landscape.database import LandscapeDB
from elspeth.testing.arm import ArmServer, client_here

FILE = """\
fleet: web
subscription_id: {subscription}
resource_group: rg
regions: [westeurope]
sizes: [Standard_B1s, Standard_B2s]
count: 3
budget: {{per_hour: 0.06, total: 100.0}}
prices: {{Standard_B1s: 0.01, Standard_B2s: 0.02}}
parallel: 2
"""
# Dies at the nth request: before it is sent, or before anybody hears the answer.
DYING = """\
import itertools, os, sys
from elspeth.api import fleet_desk
from elspeth.cli.main import main
from elspeth.providers.azure_vm.waiting import ClockedTransport
from elspeth.testing.arm import client_here

send, counter = ClockedTransport.send, itertools.count(1)
last, early = int(sys.argv[1]), sys.argv[2] == "early"

def dying(self, request, **options):
    number = next(counter)
    if number == last and early:
        os._exit(9)
    answer = send(self, request, **options)
    if number >= last:
        os._exit(9)
    return answer

ClockedTransport.send = dying
fleet_desk.make_client = lambda settings: client_here(settings.subscription_id)
sys.exit(main(["fleet", "apply", "fleet.yaml", "--digest", sys.argv[3]]))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ArmServer]:
    with ArmServer(speed=400.0) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("elspeth.api.fleet_desk.make_client", lambda settings: client_here())
        text = FILE.format(subscription=running.subscription_id)
        (tmp_path / "fleet.yaml").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        yield running


def is_on_record(resource: str) -> bool:
    """Whether it was on record that this would be made: with its machine, or by itself."""
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db", create=False)
    with db.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT row_alias FROM traces WHERE row_alias IS NOT NULL"
        ).scalars()
        machines = {str(row).partition("@")[0] for row in rows}
        events = connection.exec_driver_sql("SELECT detail FROM run_events WHERE kind = 'intent'").scalars()
        paths = {json.loads(event)["path"].lower() for event in events}
    db.close()
    return any(name in resource for name in machines) or any(
        resource.lower().startswith(path) for path in paths
    )


def kill_and_go_on(server: ArmServer, last: int, when: str) -> None:
    """Kill an apply, go on with it, and take everything away; what is not ours must be as before."""
    with client_here() as other:
        other.create_resource_group("rg", "westeurope")
        if not any("foreign" in one for one in server.world.resources):
            other.create_vm("rg", "foreign", "westeurope", "Standard_B1s")
    before = json.dumps({name: one.body for name, one in server.world.resources.items()}, sort_keys=True)
    digest = plan_fleet("fleet.yaml").plan.digest
    killed = subprocess.run(
        [sys.executable, "-c", DYING, str(last), when, digest],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    assert [one for one in server.world.resources if one not in before and not is_on_record(one)] == []
    status = apply_fleet("fleet.yaml", digest)
    assert [(unit.name, unit.status) for unit in status.world.units] == [
        (f"web-{number:03d}", "running") for number in range(3)
    ]
    assert status.world.strays == ()
    assert status.cost_per_hour == 0.03
    assert destroy_fleet("fleet.yaml") == ["web-000", "web-001", "web-002"]
    assert sweep_fleet("fleet.yaml") == []
    assert fleet_status("fleet.yaml").cost_per_hour == 0.0
    after = json.dumps({name: one.body for name, one in server.world.resources.items()}, sort_keys=True)
    assert after == before


@pytest.mark.parametrize(("last", "when"), [(14, "late"), (22, "early")])
def test_killed_and_gone_on(server: ArmServer, last: int, when: str) -> None:
    kill_and_go_on(server, last, when)


@pytest.mark.soak
def test_killed_at_any_call(server: ArmServer) -> None:
    chance = random.Random(7)
    for _ in range(40):
        kill_and_go_on(server, chance.randrange(2, 45), chance.choice(["early", "late"]))
