"""The server as something that a test starts and ends."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
import uvicorn
from azure.core.credentials import AccessToken

from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm.app import make_app
from elspeth.testing.arm.clock import SpedUpClock
from elspeth.testing.arm.world import World

ENVIRON = "ELSPETH_TEST_ARM"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"


class FixedCredential:
    """Somebody whom the server believes."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token that lasts longer than any test."""
        return AccessToken("a-token-of-the-test-server", 4102444800)

    def close(self) -> None:
        """Nothing to release."""


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut what is still connected: closing TLS politely would wait for clients that have gone."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0.01)
        await super().shutdown(sockets)


class ArmServer:
    """A server on a free port of the loopback; a context manager.

    ``speed``: how many of its seconds pass in a real one (or give a ``clock``). ``options`` go to
    `World`. After the block everything is gone: the server, its certificates, what it held.
    """

    subscription_id = SUBSCRIPTION

    def __init__(self, speed: float = 200.0, *, clock: SpedUpClock | None = None, **options: Any) -> None:
        self.clock = clock or SpedUpClock(speed)
        self.world = World(self.clock, **options)
        self.url = ""
        self.ca_file = ""

    def __enter__(self) -> "ArmServer":
        self._home = Path(tempfile.mkdtemp(prefix="arm-"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._home / "ca.pem"))
        chain, key = self._home / "chain.pem", self._home / "key.pem"
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(key))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(chain), append=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.ca_file = str(self._home / "ca.pem")
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(self.world, self.url, self._cut), ssl_certfile=str(chain), ssl_keyfile=str(key),
            log_config=None, log_level=60, lifespan="off", loop="asyncio", http="h11", ws="none",
            timeout_graceful_shutdown=1, timeout_keep_alive=600,
        )  # fmt: skip
        self._server = _Server(config)
        # Not a daemon by chance: a test that is interrupted must be able to end.
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _cut(self, client: Any) -> None:
        for connection in self._server.server_state.connections:
            if getattr(connection, "client", None) == tuple(client):
                connection.transport.abort()

    def credential(self) -> FixedCredential:
        """What a client gives as ``credential_factory``."""
        return FixedCredential()

    def environ(self) -> dict[str, str]:
        """Environment variables with which `client_here` in another process finds this server."""
        told = {
            "url": self.url,
            "ca_file": self.ca_file,
            "speed": self.clock.speed,
            "anchor": self.clock.anchor,
        }
        return {ENVIRON: json.dumps(told)}

    def connection(self) -> dict[str, Any]:
        """What a client needs to talk to this server on its clock; for ``AzureVMClient(…,
        **connection())``.
        """
        return _connection(self.url, self.ca_file, self.clock)


def client_here(subscription_id: str = SUBSCRIPTION) -> AzureVMClient:
    """A client of the server that the environment names; see `ArmServer.environ`."""
    told = json.loads(os.environ[ENVIRON])
    clock = SpedUpClock(told["speed"], tuple(told["anchor"]))
    return AzureVMClient(FixedCredential, subscription_id, **_connection(told["url"], told["ca_file"], clock))


def _connection(url: str, ca_file: str, clock: SpedUpClock) -> dict[str, Any]:
    return {
        "base_url": url,
        "credential_scopes": [f"{url}/.default"],
        "connection_verify": ca_file,
        "clock": clock,
    }
