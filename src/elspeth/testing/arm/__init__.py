"""A server that speaks the protocol of Azure Resource Manager, for tests without Azure.

    with ArmServer(clock=SpedUpClock(200)) as server:
        client = AzureVMClient(server.credential, server.subscription_id, **server.connection())
        client.create_resource_group("rg", "westeurope")
        client.create_vm("rg", "vm-1", "westeurope", "Standard_D2s_v3")

https on a free port of the loopback, with a certificate of its own authority. What it holds is in
``server.world``: tests look there, and make things go wrong there (faults, quotas, evictions, people
who delete by hand). Bodies in both directions are held against the wire types of the SDK; keys that
these do not know are refused.

What it is not: Azure. It knows VMs, disks, images, networks as far as VMs need them, resource groups
and quotas. It was written from the documentation and the SDK, not recorded from the real thing.
"""

from elspeth.testing.arm.clock import SpedUpClock
from elspeth.testing.arm.faults import Fault
from elspeth.testing.arm.server import ArmServer, client_here
from elspeth.testing.arm.world import World

__all__ = ["ArmServer", "Fault", "SpedUpClock", "World", "client_here"]
