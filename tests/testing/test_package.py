"""The contract tests are part of the package: they need no pytest to be imported."""

import subprocess
import sys

import elspeth.testing


def test_needs_no_pytest() -> None:
    script = "import sys, elspeth.testing; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_contracts_are_not_collected_themselves() -> None:
    assert not [name for name in elspeth.testing.__all__ if name.startswith("Test")]
