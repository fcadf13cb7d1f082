"""Fleets on the command line, against the server that speaks Azure's protocol."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.cli.main import main
from elspeth.fabric.fleet_file import FleetSettings
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm import ArmServer

ROOT = Path(__file__).resolve().parents[2]
FILE = """\
fleet: web
subscription_id: {subscription}
resource_group: rg
regions: [westeurope, northeurope]
sizes: [Standard_B1s, Standard_B2s]
count: 2
spot: true
budget: {{per_hour: 0.05}}
prices: {{Standard_B1s: 0.01, Standard_B2s: 0.02}}
tags: {{team: data}}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ArmServer]:
    """The server, a fleet file for it, and a client that trusts its certificate."""
    with ArmServer(speed=300.0) as running:

        def client(settings: FleetSettings) -> AzureVMClient:
            return AzureVMClient(running.credential, settings.subscription_id, **running.connection())

        monkeypatch.setattr("elspeth.api.fleet_desk.make_client", client)
        (tmp_path / "fleet.yaml").write_text(
            FILE.format(subscription=running.subscription_id), encoding="utf-8"
        )
        monkeypatch.chdir(tmp_path)
        yield running


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """Runs commands; what the last one wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        self._capsys.readouterr()
        code = main(list(words))
        self.out, self.err = self._capsys.readouterr()
        return code

    def fleet(self, *words: str) -> int:
        return self("fleet", words[0], "fleet.yaml", *words[1:])

    def plan(self) -> dict[str, Any]:
        assert self.fleet("plan", "--json") == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found

    def apply(self, *more: str) -> int:
        """Plan, and apply that."""
        return self.fleet("apply", "--digest", self.plan()["digest"], *more)


def change(before: str, after: str) -> None:
    file = Path("fleet.yaml")
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def add(text: str) -> None:
    with Path("fleet.yaml").open("a", encoding="utf-8") as file:
        file.write(text)


def machines(server: ArmServer) -> list[str]:
    return sorted(item.body["name"] for item in server.world.of_kind("Microsoft.Compute/virtualMachines"))


def test_plan_apply_status_heal_destroy_sweep(server: ArmServer, said: Said) -> None:
    assert said.fleet("plan") == 0
    assert "+ web-000  Standard_B1s in westeurope, spot" in said.out
    assert (
        "where there is no capacity: Standard_B2s in westeurope, then Standard_B1s in northeurope" in said.out
    )
    assert "the fleet then costs up to $0.04 per hour" in said.out
    assert "the whole fleet: $0.02 per hour" in said.out
    assert server.world.resources == {}
    digest = said.out.rsplit("digest ", 1)[1].strip()
    assert said.fleet("apply", "--digest", "0" * 64) == 2
    assert "there is no plan" in said.err
    assert server.world.resources == {}

    assert said.fleet("apply", "--digest", digest[:12]) == 0
    assert "2 machines, $0.02 per hour" in said.out
    assert "+ web-000  done" in said.err
    assert "(2 of 2)" in said.err
    assert said.fleet("plan") == 0
    assert "nothing to do" in said.out

    machine = next(item for item in server.world.resources.values() if item.body["name"] == "web-001")
    assert machine.body["tags"]["team"] == "data"
    server.world.evict(machine.id)
    assert said.fleet("status", "--json") == 0
    status = json.loads(said.out)
    assert [one["status"] for one in status["machines"]] == ["running", "deallocated"]
    assert status["cost_per_hour"] == 0.01
    healing = said.plan()
    assert [unit["name"] for unit in healing["changes"]] == ["web-001"]
    assert said.fleet("apply", "--digest", healing["digest"], "--json") == 0
    assert [one["status"] for one in json.loads(said.out)["machines"]] == ["running"] * 2

    assert said.fleet("destroy") == 2
    assert "say so: --yes" in said.err
    assert said.fleet("destroy", "--only", "*-001", "--yes") == 0
    assert machines(server) == ["web-000"]
    assert said.fleet("destroy", "--yes") == 0
    assert "1 machine deleted" in said.out
    assert said.fleet("sweep") == 0
    assert "0 strays deleted" in said.out
    kinds = {item.kind.rsplit("/", 1)[1] for item in server.world.resources.values()}
    assert kinds == {"resourceGroups", "virtualNetworks", "subnets"}


def test_an_evicted_machine_that_azure_deleted_is_made_anew(server: ArmServer, said: Said) -> None:
    change("spot: true", "spot: true\nspot_eviction: Delete")
    assert said.apply() == 0
    machine = next(item for item in server.world.resources.values() if item.body["name"] == "web-001")
    server.world.evict(machine.id)
    assert said.fleet("plan") == 0
    assert "+ web-001" in said.out
    assert said.apply() == 0
    assert machines(server) == ["web-000", "web-001"]
    assert said.fleet("destroy", "--yes") == 0
    assert said.fleet("sweep") == 0
    assert "0 strays deleted" in said.out


def test_a_scale_set_on_the_command_line(server: ArmServer, said: Said) -> None:
    change("count: 2", "count: 3\nscale_set: true")
    assert said.fleet("plan") == 0
    assert "+ web-set  3 × Standard_B1s in westeurope, spot" in said.out
    assert said.apply() == 0
    assert "web-set  running  3 × Standard_B1s in westeurope, spot" in said.out
    assert "3 machines, $0.03 per hour" in said.out
    change("count: 3", "count: 4")
    assert said.fleet("plan") == 0
    assert "~ web-set  3 → 4 machines" in said.out
    assert said.apply() == 0
    assert len(machines(server)) == 4
    assert said("explain", "--resource", "web-set", "--json") == 0
    assert json.loads(said.out)["resources"][0]["billed"][-1]["price_per_hour"] == 0.04
    assert said.fleet("destroy", "--yes") == 0
    assert machines(server) == []


def test_a_file_that_changed_since_is_another_plan(server: ArmServer, said: Said) -> None:
    digest = said.plan()["digest"]
    change("team: data", "team: other")
    assert said.fleet("apply", "--digest", digest) == 3
    assert "fleet.yaml says something else than when plan" in said.err
    assert server.world.resources == {}


def test_the_world_of_yesterday_is_another_world(server: ArmServer, said: Said) -> None:
    assert said.apply() == 0
    change("count: 2", "count: 3")
    digest = said.plan()["digest"]
    assert said.fleet("destroy", "--only", "web-000", "--yes") == 0
    assert said.fleet("apply", "--digest", digest) == 3
    assert "the world has changed since the plan was made: web-000 is not there" in said.err
    assert machines(server) == ["web-001"]


def test_an_apply_that_failed_half_way_goes_on_with_the_same_digest(server: ArmServer, said: Said) -> None:
    change("regions: [westeurope, northeurope]", "regions: [westeurope]")
    change("sizes: [Standard_B1s, Standard_B2s]", "sizes: [Standard_B1s]")
    digest = said.plan()["digest"]
    server.world.denied.add("Microsoft.Compute/virtualMachines/write")
    assert said.fleet("apply", "--digest", digest) == 3
    assert "Virtual Machine Contributor" in said.err
    assert machines(server) == []
    server.world.denied.clear()
    assert said.fleet("apply", "--digest", digest) == 0
    assert machines(server) == ["web-000", "web-001"]
    # Once done, the same plan does nothing more.
    asked = server.world.count("PUT", "virtualMachines")
    assert said.fleet("apply", "--digest", digest) == 0
    assert server.world.count("PUT", "virtualMachines") == asked


def test_two_applies_of_one_plan_share_the_work(server: ArmServer, said: Said) -> None:
    change("count: 2", "count: 4")
    digest = said.plan()["digest"]
    both = [
        subprocess.Popen(
            [
                sys.executable,
                ROOT / "examples/fleet/command.py",
                "fleet",
                "apply",
                "fleet.yaml",
                "--digest",
                digest,
            ],
            env={**os.environ, **server.environ()},
        )
        for _ in range(2)
    ]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    assert machines(server) == [f"web-00{number}" for number in range(4)]
    puts = [one for one in server.world.asked if one.method == "PUT" and "/virtualMachines/" in one.path]
    assert len(puts) == 4


def test_two_plans_at_once_are_one_too_many(server: ArmServer, said: Said) -> None:
    from elspeth.api.fleet_desk import open_fleet_books  # noqa: PLC0415

    digest = said.plan()["digest"]
    with open_fleet_books(None, "web") as books, books.turns.taken("web", "another-plan"):
        assert said.fleet("apply", "--digest", digest) == 3
        assert "fleet web is being worked on: another-plan, by" in said.err
        assert said.fleet("destroy", "--yes") == 3
        assert said.fleet("sweep") == 3
        assert said.fleet("status") == 0
    assert said.fleet("apply", "--digest", digest) == 0


def test_a_budget_of_nothing_buys_nothing(server: ArmServer, said: Said) -> None:
    change("0.05", "0")
    assert said.fleet("plan") == 3
    assert "2 × Standard_B1s cost $0.02 per hour, $0.00 are allowed" in said.err


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ("per_hour: 0.05, per_day: 0", r"allows \$0\.00 today; with this plan it could be"),
        ("per_hour: 0.05, total: 0.5", r"allows \$0\.50 in all; with this plan it could be \$0\.96"),
    ],
)
def test_budgets_of_days_and_in_all_are_reserved_before_anything_is_made(
    server: ArmServer, said: Said, budget: str, told: str
) -> None:
    digest = said.plan()["digest"]
    change("per_hour: 0.05", budget)
    assert said.fleet("plan") == 3
    assert re.search(told, said.err)
    assert said.fleet("apply", "--digest", digest) == 3
    assert server.world.resources == {}
    assert said.fleet("status") == 0
    assert "$0.00 per hour" in said.out


def test_policies_that_are_broken_are_told_all_at_once_with_their_place(
    server: ArmServer, said: Said
) -> None:
    add(
        "policies:\n"
        "  - {rule: plan.most_per_hour < 0.03, message: too dear}\n"
        "  - {rule: \"vm.size in ['Standard_B1s']\", message: only small ones}\n"
        "  - {rule: \"'owner' in vm.tags\", message: no owner}\n"
        "  - {rule: vm.region.startsWith('west') || vm.spot, message: fine}\n"
        "  - {rule: plan.creates < 5.0, message: whole numbers}\n"
        "  - {rule: plan.cost <, message: broken}\n"
        "  - {rule: fleet.cuont > 1, message: misspelt}\n"
    )
    assert said.fleet("plan") == 2
    assert "6 problems in the fleet file" in said.err
    for line, told in (
        (12, "too dear"),
        (13, "only small ones (web-000 as fall-back Standard_B2s in westeurope)"),
        (14, "no owner (web-000)"),
        (16, "can't be decided: it compares a whole number with a decimal one"),
        (17, "is no rule: it can't be read at column"),
        (18, "can't be decided: there is no 'cuont'"),
    ):
        assert re.search(rf"fleet\.yaml:{line}:\d+: .*{re.escape(told)}", said.err), told
    assert server.world.resources == {}


def test_a_plan_beyond_a_limit_needs_somebody_elses_approval(server: ArmServer, said: Said) -> None:
    add("approval: {creates: 1, cost_per_hour: 0.03, valid_hours: 1}\n")
    assert said.fleet("plan", "--by", "ada") == 0
    assert "needs approval: it creates 2 machines, more than 1" in said.out
    assert "needs approval: it may cost $0.04 per hour, more than $0.03" in said.out
    digest = said.plan()["digest"]
    assert said.fleet("apply", "--digest", digest) == 3
    assert "needs approval" in said.err
    assert said("approvals", "list") == 0
    assert f"{digest[:12]}  pending  fleet web, by ada" in said.out
    assert said("approvals", "approve", digest[:12], "--by", "ada") == 3
    assert "ada made this plan, and can't approve it" in said.err
    assert said("approvals", "reject", digest[:12], "--by", "bob", "--comment", "not today") == 0
    assert said.fleet("apply", "--digest", digest) == 3
    assert "bob rejected plan" in said.err
    assert "not today" in said.err
    assert said("approvals", "approve", digest[:12], "--by", "bob") == 0
    assert said("approvals", "show", digest[:12], "--json") == 0
    shown = json.loads(said.out)
    assert [one["verdict"] for one in shown["decisions"]] == ["rejected", "approved"]
    assert shown["state"] == "approved"
    assert server.world.resources == {}
    assert said.fleet("apply", "--digest", digest) == 0
    assert machines(server) == ["web-000", "web-001"]
    # Another plan needs another approval.
    change("count: 2", "count: 4")
    assert said.apply() == 3


def test_approvals_of_what_is_not_there(server: ArmServer, said: Said) -> None:
    assert said("approvals", "list") == 2
    assert "there are no plans here: .elspeth/fabric.db is not there" in said.err
    assert not Path(".elspeth").exists()
    digest = said.plan()["digest"]
    assert said("approvals", "show", "abcdef") == 2
    assert "there is no plan 'abcdef' on record" in said.err
    assert said("approvals", "show", "abc") == 2
    assert said("approvals", "list") == 0
    assert "no plan waits for approval" in said.out
    assert said("approvals", "approve", digest) == 2
    assert "needs no approval" in said.err


def test_everything_that_is_wrong_with_a_file_is_told_at_once(server: ArmServer, said: Said) -> None:
    change("count: 2", "count: many")
    change("spot: true", "spott: true")
    change("per_hour: 0.05", "per_hour: 0.05, per_dya: 1")
    assert said.fleet("plan") == 2
    assert "3 problems in the fleet file" in said.err
    assert "fleet.yaml:6" in said.err
    assert "did you mean 'spot'?" in said.err
    assert "did you mean 'per_day'?" in said.err
    assert said("fleet", "plan", "nowhere.yaml") == 2
    assert "there is no such file" in said.err


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Standard_B1s: 0.01, ", "", "prices does not have the size Standard_B1s"),
        ("[westeurope, northeurope]", "[westeurope, westeurope]", "'westeurope' is there twice"),
        ("[westeurope, northeurope]", "[]", "regions must not be empty"),
        ("team: data", "elspeth-fleet: other", "tags that begin with elspeth- are ours"),
        ("count: 2", "count: 2\nnetwork: {subnets: {eastus: /x}}", "'eastus' is none of the regions"),
        ("fleet: web", f"fleet: {'w' * 65}", "this name has 65 characters; 40 are allowed"),
        ("fleet: web", "fleet: Web", "'Web' can't be part of machines' names"),
    ],
)
def test_files_that_contradict_themselves(
    server: ArmServer, said: Said, before: str, after: str, told: str
) -> None:
    change(before, after)
    assert said.fleet("plan") == 2
    assert told in said.err
    assert re.search(r"fleet\.yaml:\d+:\d+", said.err)


def test_the_schema_is_for_fleet_files(said: Said) -> None:
    assert said("fleet", "schema") == 0
    schema = json.loads(said.out)
    assert set(schema["required"]) >= {"fleet", "regions", "sizes", "budget"}
    assert schema["additionalProperties"] is False
