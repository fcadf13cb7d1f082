"""The protocol: requests in, answers out."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from elspeth.testing.arm.faults import Fault, Refusal
from elspeth.testing.arm.paths import Target, parse
from elspeth.testing.arm.resources import Resources
from elspeth.testing.arm.wire import WireError, check_action, check_resource
from elspeth.testing.arm.world import Asked, Operation, World

METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]


def make_app(world: World, origin: str, cut: Callable[[Any], None]) -> Starlette:
    """The server's application. ``origin`` is what addresses in answers begin with; ``cut`` ends the
    connection of a client (host and port) without a word.
    """
    front = Front(world, origin)

    async def answer(request: Request) -> Response:
        body = await request.body()
        # Not on the loop: a test that holds the world's lock must not stop the server from listening.
        response = await asyncio.to_thread(front.answer, request, body)
        if response.headers.get("x-dropped"):
            cut(request.client)
        return response

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


class Front:
    """Checks that come before the work, and the form of answers."""

    def __init__(self, world: World, origin: str) -> None:
        self.world = world
        self.origin = origin
        self.resources = Resources(world)

    def answer(self, request: Request, raw: bytes) -> Response:
        """One request. All of it under the world's lock: Azure's answers are atomic, too."""
        path = request.url.path
        with self.world.lock:
            self.world.advance()
            try:
                response = self._checked(request, path, raw)
            except Refusal as error:
                response = _refusal(error.status, error.code, error.message)
            except WireError as error:
                response = _refusal(400, "InvalidRequestContent", str(error))
            status = 0 if response.headers.get("x-dropped") else response.status_code
            self.world.asked.append(Asked(self.world.clock.now(), request.method, path, status))
        response.headers["x-ms-request-id"] = self.world.new_id()
        return response

    def _checked(self, request: Request, path: str, raw: bytes) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return _refusal(
                401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        if "api-version" not in request.query_params:
            return _refusal(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        bucket, left, wait = self.world.buckets.take(request.method, self.world.clock.now())
        if wait:
            refused = _refusal(
                429, "SubscriptionRequestsThrottled", f"Number of {bucket} exceeded the limit."
            )
            refused.headers["Retry-After"] = str(wait)
            return refused
        fault = self._fault(request.method, path)
        if fault is not None and not fault.drop:
            return _fault(fault)
        response = self._routed(request, path, raw)
        response.headers[f"x-ms-ratelimit-remaining-subscription-{bucket}"] = str(left)
        if fault is not None:
            response.headers["x-dropped"] = "1"
        return response

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.world.faults:
            if not fault.asynchronous and fault.matches(method, path):
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def _routed(self, request: Request, path: str, raw: bytes) -> Response:
        target = parse(path, request.method)
        if target is None:
            raise Refusal(404, "InvalidResourceType", f"There is nothing at {path}.")
        if target.subscription.lower() != self.world.subscription:
            raise Refusal(
                404, "SubscriptionNotFound", f"The subscription '{target.subscription}' could not be found."
            )
        self._permit(request.method, target)
        query, body = dict(request.query_params), _json(raw)
        if request.method == "POST":
            check_action(target.action, body)
            return self._accepted(target, self.resources.post(target, body))
        if request.method in ("PUT", "PATCH"):
            check_resource(target.kind, body, update=request.method == "PATCH")
        if target.kind.endswith("/locations/operations"):
            return self._operation(target.name, monitor="monitor" in query)
        if request.method in ("GET", "HEAD"):
            if not target.name:
                return self._page(target, query)
            found = self.resources.get(target, query)
            check_resource(target.kind, found)
            return JSONResponse(found, headers={"ETag": found.get("etag", "")})
        conditions = {
            name: request.headers[name] for name in ("if-match", "if-none-match") if name in request.headers
        }
        if request.method == "DELETE":
            return self._deleted(target, self.resources.delete(target, conditions))
        return self._put(request.method, target, body, conditions)

    def _put(
        self, method: str, target: Target, body: dict[str, Any], conditions: Mapping[str, str]
    ) -> Response:
        created, operation = self.resources.put(target, body, conditions, update=method == "PATCH")
        found = self.resources.get(target, {})
        check_resource(target.kind, found)
        headers = {"ETag": found.get("etag", "")}
        if operation is not None:
            headers["Azure-AsyncOperation"] = self._address(target, operation)
        # Disks are accepted, everything else is created: the SDK refuses any other answer.
        status = 202 if target.kind.endswith("/disks") else 201 if created else 200
        return JSONResponse(found, status_code=status, headers=headers)

    def _deleted(self, target: Target, operation: Operation | None) -> Response:
        return Response(status_code=204) if operation is None else self._accepted(target, operation)

    def _accepted(self, target: Target, operation: Operation | None) -> Response:
        if operation is None:
            return Response(status_code=200)
        address = self._address(target, operation)
        headers = {"Azure-AsyncOperation": address, "Location": f"{address}&monitor=true"}
        return Response(status_code=202, headers=headers)

    def _address(self, target: Target, operation: Operation) -> str:
        namespace = target.kind.split("/", 1)[0]
        path = f"/subscriptions/{target.subscription}/providers/{namespace}"
        path += f"/locations/global/operations/{operation.id}"
        return f"{self.origin}{path}?api-version=2024-07-01"

    def _operation(self, operation_id: str, *, monitor: bool) -> Response:
        operation = self.world.operations.get(operation_id)
        if operation is None:
            raise Refusal(404, "NotFound", f"There is no operation {operation_id}.")
        if monitor:
            if operation.status == "InProgress":
                return Response(status_code=202, headers={"Location": f"{self.origin}{operation.id}"})
            return Response(status_code=204) if operation.result is None else JSONResponse(operation.result)
        body: dict[str, Any] = {"name": operation.id, "status": operation.status}
        if operation.error is not None and operation.status == "Failed":
            body["error"] = {"code": operation.error[0], "message": operation.error[1]}
        return JSONResponse(body)

    def _page(self, target: Target, query: Mapping[str, str]) -> Response:
        items = self.resources.listed(target, query)
        start = int(query.get("$skiptoken", "0"))
        shown = items[start : start + self.world.page_size]
        for item in shown:
            check_resource(target.kind, item)
        body: dict[str, Any] = {"value": shown}
        if start + len(shown) < len(items):
            token = {**query, "$skiptoken": str(start + len(shown))}
            tail = target.kind.split("/", 1)[1].rsplit("/", 1)[-1]
            body["nextLink"] = f"{self.origin}{self._collection(target, tail)}?{urlencode(token)}"
        return JSONResponse(body)

    def _collection(self, target: Target, tail: str) -> str:
        if target.kind == "Microsoft.Resources/resourceGroups" or "/providers/" in target.id:
            return f"{target.id}/{tail}"
        return f"{target.id}/providers/{target.kind.split('/', 1)[0]}/{tail}"

    def _permit(self, method: str, target: Target) -> None:
        verb = {"GET": "read", "HEAD": "read", "DELETE": "delete", "POST": f"{target.action}/action"}.get(
            method, "write"
        )
        action = f"{target.kind}/{verb}"
        if action.lower() in {one.lower() for one in self.world.denied}:
            raise Refusal(
                403,
                "AuthorizationFailed",
                "The client 'tester' with object id 'tester' does not have authorization to perform action "
                f"'{action}' over scope '{target.id}' or the scope is invalid.",
            )


def _json(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refusal(400, "InvalidRequestContent", "The request content was not valid JSON.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "InvalidRequestContent", "The request content must be an object.")
    return body


def _fault(fault: Fault) -> Response:
    response = _refusal(fault.status, fault.code, fault.message)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def _refusal(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)
