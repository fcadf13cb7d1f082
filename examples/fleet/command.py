"""The `elspeth` command, with Azure being the test server that the environment names.

python examples/fleet/command.py fleet plan fleet.yaml
"""

import sys

from elspeth.api import fleet_desk
from elspeth.cli.main import main
from elspeth.testing.arm import client_here

if __name__ == "__main__":
    fleet_desk.make_client = lambda settings: client_here(settings.subscription_id)
    sys.exit(main(sys.argv[1:]))
