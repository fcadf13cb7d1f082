"""The SDK's clients, made when they are first needed, all on one clock and with one way of waiting."""

from collections.abc import Callable, Sequence
from functools import cached_property
from threading import RLock
from typing import Any, TypedDict
from uuid import uuid4

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError

from elspeth.fabric.governor.pace import Pace
from elspeth.providers.azure_vm.accounts import ArmCall, Listener
from elspeth.providers.azure_vm.operations import MemoryOperationStore, OperationStore, PendingOperation
from elspeth.providers.azure_vm.waiting import ClockedTransport, GrowingPolling, Waiter, WallClock

RETRIES = 10
"""How often the SDK tries a request again (429, 5xx, no answer); it waits as the server says, at most 120 s.
"""
ARM_BUCKETS = {"reads": (250.0, 25.0), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}
"""Of each kind of request: how many ARM allows at once per subscription, and how many more per second."""
OWN_RETRIES = 6
"""How often we try a POST again that got 429 without Retry-After, which the SDK gives up on at once."""


class ConnectionOptions(TypedDict, total=False):
    """How Azure is reached. The first four are the SDK's own words.

    ``base_url`` and ``credential_scopes``: another cloud, or a server for tests. ``connection_verify``: a
    file with the authority's certificate. ``polling_interval``: seconds until the second look at an
    operation, doubled from look to look up to 32. ``clock``: time, for tests. ``operations``: where
    operations under way are remembered. ``on_call``: told of every request, in the thread that made it;
    ``on_request``: told of method and path of one that may change something before it is sent, which it is
    not if this raises. ``pace``: shared by clients of one subscription, so that they ask no more often than
    ARM allows.
    """

    base_url: str
    credential_scopes: Sequence[str]
    connection_verify: str | bool
    polling_interval: float
    clock: Waiter
    operations: OperationStore
    on_call: Callable[[ArmCall], None]
    on_request: Callable[[str, str], None]
    pace: Pace


class Connection:
    """The SDK's clients for one subscription."""

    def __init__(
        self,
        credential_factory: Callable[[], TokenCredential] | None,
        subscription_id: str,
        options: ConnectionOptions,
    ) -> None:
        self.subscription_id = subscription_id
        self.clock = options.get("clock") or WallClock()
        self.operations: OperationStore = options.get("operations") or MemoryOperationStore()
        self._first_delay = float(options.get("polling_interval", 1.0))
        self._factory = credential_factory or _default_credential
        self._options = options
        self.listener = Listener(options.get("on_request"), options.get("on_call"))
        self._open: list[Any] = []
        self._pace = self._options.get("pace") or Pace(ARM_BUCKETS)
        # Several threads share a client, and each client must be made once.
        self._lock = RLock()

    @cached_property
    def credential(self) -> TokenCredential:
        """What the factory made, once."""
        return self._factory()

    @property
    def compute(self) -> Any:
        """azure.mgmt.compute.ComputeManagementClient."""
        with self._lock:
            return self._compute

    @property
    def network(self) -> Any:
        """azure.mgmt.network.NetworkManagementClient."""
        with self._lock:
            return self._network

    @property
    def resource(self) -> Any:
        """azure.mgmt.resource.resources.ResourceManagementClient."""
        with self._lock:
            return self._resource

    @cached_property
    def _compute(self) -> Any:
        # Each of the three takes a second or so to import.
        from azure.mgmt.compute import ComputeManagementClient  # noqa: PLC0415

        return self._made(ComputeManagementClient)

    @cached_property
    def _network(self) -> Any:
        from azure.mgmt.network import NetworkManagementClient  # noqa: PLC0415

        return self._made(NetworkManagementClient)

    @cached_property
    def _resource(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient  # noqa: PLC0415

        return self._made(ResourceManagementClient)

    def _made(self, kind: Any) -> Any:
        transport = ClockedTransport(
            self.clock,
            self.listener,
            self._pace,
            connection_verify=self._options.get("connection_verify", True),
        )
        options: dict[str, Any] = {"retry_total": RETRIES, "retry_status": RETRIES, "transport": transport}
        for name in ("base_url", "credential_scopes"):
            if name in self._options:
                options[name] = self._options[name]
        client = kind(self.credential, self.subscription_id, **options)
        self._open.append(client)
        return client

    def polling(self, started: float | None = None) -> GrowingPolling:
        """How to wait for one operation."""
        return GrowingPolling(self.clock, self.clock.now() if started is None else started, self._first_delay)

    def patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask; try again where the SDK doesn't: a POST that got 429 without Retry-After."""
        delay = 1.0
        for _ in range(OWN_RETRIES):
            try:
                return ask()
            except HttpResponseError as error:
                if error.status_code != 429 or not _left_to_us(error):
                    raise
            self.clock.sleep(delay)
            delay *= 2
        return ask()

    def finish(self, operation: PendingOperation, poller: Any) -> Any:
        """Wait for an operation's end; it is on record while it runs, and stays there if we die or give
        up.
        """
        if not poller.done():
            self.operations.put(operation)
        result = None
        try:
            result = poller.result()
        except HttpResponseError:
            self.operations.remove(operation.operation_id)
            raise
        self.operations.remove(operation.operation_id)
        return result

    def begun(self, kind: str, rg_name: str, vm_name: str, poller: Any) -> PendingOperation:
        """What must be remembered of an operation that Azure has just accepted."""
        token = "" if poller.done() else poller.continuation_token()
        return PendingOperation(str(uuid4()), kind, rg_name, vm_name, token, self.clock.now())

    def close(self) -> None:
        """Close every connection."""
        for client in self._open:
            client.close()
        self._open.clear()
        if "credential" in self.__dict__ and hasattr(self.credential, "close"):
            self.credential.close()


def _left_to_us(error: HttpResponseError) -> bool:
    response: Any = error.response
    if response is None or response.headers.get("Retry-After"):
        return False
    return bool(response.request.method == "POST")


def _default_credential() -> TokenCredential:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415

    return DefaultAzureCredential()
