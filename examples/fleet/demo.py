"""Machines planned, approved, made, healed, explained and destroyed: what `make demo-fleet` shows.

No Azure is needed: a server that speaks its protocol runs here, 100 times as fast as the real one, and every
command below is the real one in a process of its own. Run it from the root of the repository.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from elspeth.testing.arm import ArmServer

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "examples/fleet/out"
COMMAND = [sys.executable, ROOT / "examples/fleet/command.py"]
FILE = "fleet.yaml"
SPEED = 100.0


def main() -> int:
    """Tell the story; returns an exit code."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    shutil.copy(ROOT / "examples/fleet" / FILE, OUT)
    with ArmServer(SPEED) as server:
        os.environ.update(server.environ(), AZURE_SUBSCRIPTION_ID=server.subscription_id)
        say(f"a server that speaks Azure's protocol listens at {server.url}; a minute there is 0.6 s here")
        digest = planned()
        say("apply it? The file says that somebody must approve plans of more than two machines")
        elspeth("fleet", "apply", FILE, "--digest", digest, expect=3)
        elspeth("approvals", "approve", digest, "--by", "grace", "--comment", "for the weekend run")
        say("meanwhile Azure runs out of small machines in westeurope; the plan says where to go then")
        server.world.full.add(("westeurope", "Standard_B1s"))
        began = server.clock.now()
        elspeth("fleet", "apply", FILE, "--digest", digest)
        say(f"that took {(server.clock.now() - began) / 60:.0f} minutes of Azure's time")
        heal(server)
        say("why does workers-001 exist, who approved it, what did it cost?")
        elspeth("explain", "--resource", "workers-001")
        return ended(server)


def planned() -> str:
    """Show a plan that breaks a rule, then the one that doesn't; the digest of that."""
    file = OUT / FILE
    text = file.read_text(encoding="utf-8")
    say("a plan for five machines is refused: at the dearest places it may cost too much")
    file.write_text(text.replace("count: 3", "count: 5"), encoding="utf-8")
    elspeth("fleet", "plan", FILE, expect=2)
    file.write_text(text, encoding="utf-8")
    say("so three; nothing is made yet")
    return re.search(r"^digest (\w{12})", elspeth("fleet", "plan", FILE), re.MULTILINE)[1]


def heal(server: ArmServer) -> None:
    """Azure takes one machine back; the next plan starts it again."""
    say("Azure takes one of the spot machines back")
    machines = server.world.of_kind("Microsoft.Compute/virtualMachines")
    server.world.evict(next(one.id for one in machines if one.body["name"] == "workers-001"))
    elspeth("fleet", "status", FILE)
    say("plan and apply again: what runs is left alone, what was evicted is started")
    digest = re.search(r"^digest (\w{12})", elspeth("fleet", "plan", FILE), re.MULTILINE)[1]
    elspeth("fleet", "apply", FILE, "--digest", digest)


def ended(server: ArmServer) -> int:
    """Destroy everything, look for what is left, and check the record."""
    say("destroy the fleet, and look for anything that was left behind")
    elspeth("fleet", "destroy", FILE, "--yes")
    elspeth("fleet", "sweep", FILE)
    left = [
        one.body["name"]
        for one in server.world.resources.values()
        if (one.body.get("tags") or {}).get("elspeth-fleet")
    ]
    say(
        f"the server has {len(left)} things of the fleet left, and was asked {len(server.world.asked)} times;"
    )
    say("every request is on record, and the record proves itself")
    elspeth("verify")
    return 1 if left else 0


def say(what: str) -> None:
    """One line of the story."""
    sys.stdout.write(f"\n── {what}\n")
    sys.stdout.flush()


def elspeth(*words: str, expect: int = 0) -> str:
    """The command line, with its output shown; what it wrote on stdout. Ends the demo if it goes wrong."""
    sys.stdout.write(f"$ elspeth {' '.join(words)}\n")
    sys.stdout.flush()
    done = subprocess.run(
        [*COMMAND, *words], cwd=OUT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    sys.stdout.write(done.stdout)
    sys.stdout.flush()
    if done.returncode != expect:
        raise SystemExit(f"exit code {done.returncode}, and {expect} was expected")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
