"""Calls to Azure Resource Manager as the landscape keeps them."""

from elspeth.contracts.enums import CallStatus, CallType
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.operations import Operation
from elspeth.providers.azure_vm.accounts import ArmCall
from elspeth.providers.azure_vm.connection import Connection

PROVIDER = "azure_vm"


def record_calls(connection: Connection, operation: Operation) -> None:
    """Put every request of this connection on record with the operation, from now on.

    One that may change something is announced before it is sent, and its answer is durable before anybody
    sees it.
    """
    connection.listener.on_request = operation.intend
    connection.listener.on_call = lambda call: operation.record_call(
        external(call), durable=call.method not in ("GET", "HEAD")
    )


def operation_of(method: str, path: str) -> str:
    """What a request asks for, without the names in its path: ``POST virtualMachines/start``."""
    parts = [part for part in path.split("/") if part]
    last = max((place for place, part in enumerate(parts) if part.lower() == "providers"), default=-1)
    words = parts[last + 2 :: 2] if last >= 0 else parts[2::2] or parts[:1]
    return f"{method} {'/'.join(words)}"


def external(call: ArmCall) -> ExternalCall:
    """A request as the landscape keeps it."""
    request = {"method": call.method, "path": call.path, "api_version": call.api_version, "body": call.body}
    response = {
        "status": call.status,
        "request_id": call.request_id,
        "retry_after": call.retry_after,
        "body_sha256": call.response_hash,
    }
    error = {
        "reason": call.code or (f"http_{call.status}" if call.status else "no_answer"),
        "error": call.message,
    }
    return ExternalCall(
        CallType.ARM,
        CallStatus.SUCCESS if call.ok else CallStatus.ERROR,
        {name: value for name, value in request.items() if value not in (None, "")},
        response={name: value for name, value in response.items() if value not in (None, "")},
        error=None if call.ok else error,
        latency_ms=round(call.latency_ms, 3),
        provider=PROVIDER,
        attempt=call.attempt,
        operation=operation_of(call.method, call.path),
    )
