"""The server is as strict as the SDK's own types."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from elspeth.testing.arm import ArmServer
from elspeth.testing.arm.wire import WireError, check_action, check_resource

VM = "Microsoft.Compute/virtualMachines"


@pytest.fixture(scope="module")
def server() -> Iterator[ArmServer]:
    with ArmServer(speed=500.0) as running:
        yield running


def ask(server: ArmServer, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    told = {"Authorization": "Bearer x", "Content-Type": "application/json", **headers}
    address = f"{server.url}/subscriptions/{server.subscription_id}{path}"
    text = None if body is None else json.dumps(body)
    return requests.request(method, address, data=text, headers=told, verify=server.ca_file, timeout=20)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"location": "x", "color": "red"}, "could not find member 'color'"),
        ({"location": "x", "properties": {"hardwareProfile": {"size": 1}}}, "could not find member 'size'"),
        ({"location": 5}, "str is expected, not int"),
        ({"properties": {}}, "'location' is missing"),
        ({"location": "x", "zones": "1"}, "a list is expected"),
        (
            {"location": "x", "properties": {"storageProfile": {"dataDisks": [{"lun": 1}]}}},
            "'createOption' is missing",
        ),
        ({"location": "x", "properties": {"billingProfile": {"maxPrice": "1"}}}, "a number is expected"),
        ([], "an object is expected"),
    ],
)
def test_bodies_that_the_sdk_does_not_know_are_refused(body: Any, said: str) -> None:
    with pytest.raises(WireError, match=said):
        check_resource(VM, body)


def test_bodies_of_updates_and_actions() -> None:
    check_resource(VM, {"tags": {"a": "b"}}, update=True)
    check_action("runCommand", {"commandId": "RunShellScript", "script": ["ls"]})
    with pytest.raises(WireError, match="commandId"):
        check_action("runcommand", {"script": ["ls"]})


def test_manners(server: ArmServer) -> None:
    assert ask(server, "GET", "/resourceGroups?api-version=1", Authorization="").status_code == 401
    assert ask(server, "GET", "/resourceGroups").json()["error"]["code"] == "MissingApiVersionParameter"
    assert ask(server, "GET", "/nonsense/x?api-version=1").status_code == 404
    answer = ask(server, "PUT", "/resourceGroups/g?api-version=1", {"location": "westeurope"})
    assert answer.status_code == 201
    assert answer.headers["x-ms-request-id"]
    assert "x-ms-ratelimit-remaining-subscription-writes" in answer.headers
    path = "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v?api-version=1"
    refused = ask(server, "PUT", path, {"location": "westeurope", "colour": "red"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidRequestContent")
    assert ask(server, "DELETE", path).status_code == 204


def test_pages_lead_from_one_to_the_next(server: ArmServer) -> None:
    server.world.page_size = 2
    for name in ("p1", "p2", "p3"):
        ask(server, "PUT", f"/resourceGroups/{name}?api-version=1", {"location": "eastus"})
    names, address = [], f"{server.url}/subscriptions/{server.subscription_id}/resourceGroups?api-version=1"
    while address:
        page = requests.get(
            address, headers={"Authorization": "Bearer x"}, verify=server.ca_file, timeout=20
        ).json()
        names += [one["name"] for one in page["value"]]
        address = page.get("nextLink")
    assert {"p1", "p2", "p3"} <= set(names)
    assert len(names) == len(set(names))
