"""Retries: when, how often, and never twice."""

import random
from collections.abc import Callable

import pytest

from elspeth.fabric.governor import BreakerState
from elspeth.providers.azure_blob.base import Pace
from elspeth.providers.azure_blob.calls import Retrying
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError, BlobExistsError
from elspeth.providers.azure_blob.governed import Governed
from elspeth.testing.azurite import KEY, Azurite
from elspeth.testing.fault_proxy import Fault, FaultProxy


def once(fault: Fault, method: str = "PUT") -> Callable[[str, str], Fault]:
    """The first request of this method meets the fault, all others do not."""
    left = [fault]
    return lambda seen, _path: left.pop() if seen == method and left else Fault.NONE


class Waits(list[float]):
    """Remembers how long it should have slept."""

    def pace(self, attempts: int = 6) -> Pace:
        return Pace(Retrying(attempts=attempts, sleep=self.append, random=lambda: 1.0), concurrency=2)


def through(proxy: FaultProxy, pace: Pace) -> AzureBlobClient:
    return AzureBlobClient(connection_string=Azurite.connection_string_for(proxy.endpoint), pace=pace)


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.RESET, Fault.LOST])
def test_a_write_that_must_not_overwrite_is_done_once(azurite: Azurite, container: str, fault: Fault) -> None:
    with FaultProxy(azurite.endpoint, once(fault)) as proxy, through(proxy, Waits().pace()) as client:
        done = client.upload_blob(container, "a", b"mine")
        assert client.get_blob_properties(container, "a").etag == done.etag
        with pytest.raises(BlobExistsError):
            client.upload_blob(container, "a", b"mine")
        assert client.health()["upload_blob"].retries == 1


def test_a_lost_answer_is_not_mistaken_for_somebody_elses_write(
    azurite: Azurite, client: AzureBlobClient, container: str
) -> None:
    client.upload_blob(container, "a", b"theirs")
    with (
        FaultProxy(azurite.endpoint, once(Fault.LOST)) as proxy,
        through(proxy, Waits().pace()) as again,
        pytest.raises(BlobExistsError),
    ):
        again.upload_blob(container, "a", b"theirs")
    assert client.download_blob(container, "a") == b"theirs"


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.RESET, Fault.LOST])
def test_nothing_is_appended_twice(
    azurite: Azurite, client: AzureBlobClient, container: str, fault: Fault
) -> None:
    client.create_append_blob(container, "log")
    with FaultProxy(azurite.endpoint, once(fault)) as proxy, through(proxy, Waits().pace()) as again:
        assert again.append_block(container, "log", b"once", at=0) == 4
    assert client.download_blob(container, "log") == b"once"


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.BUSY])
def test_copies_metadata_leases_and_deletes_are_settled(
    azurite: Azurite, client: AzureBlobClient, container: str, fault: Fault
) -> None:
    client.upload_blob(container, "a", b"x")
    etag = client.get_blob_properties(container, "a").etag
    for do in (
        lambda one: one.copy_blob(container, "a", container, "b", overwrite=False),
        lambda one: one.set_metadata(container, "a", {"k": "v"}, if_match=etag),
        lambda one: one.acquire_lease(container, "b", seconds=15),
    ):
        with FaultProxy(azurite.endpoint, once(fault)) as proxy, through(proxy, Waits().pace()) as again:
            do(again)
    with (
        FaultProxy(azurite.endpoint, once(fault, "DELETE")) as proxy,
        through(proxy, Waits().pace()) as again,
    ):
        again.delete_blob(container, "a")
    assert list(client.list_blob_names(container)) == ["b"]


def test_a_body_that_is_cut_off_is_fetched_again(
    azurite: Azurite, client: AzureBlobClient, container: str
) -> None:
    data = random.Random(4).randbytes(3_000_000)
    client.upload_blob(container, "a", data)
    with (
        FaultProxy(azurite.endpoint, once(Fault.CUT, "GET")) as proxy,
        through(proxy, Waits().pace()) as again,
    ):
        assert again.download_blob(container, "a") == data


def test_retry_after_and_backoff(azurite: Azurite, container: str) -> None:
    waits = Waits()
    with (
        FaultProxy(azurite.endpoint, lambda _method, _path: Fault.BUSY, retry_after="3") as proxy,
        through(proxy, waits.pace(attempts=5)) as client,
    ):
        with pytest.raises(BlobError) as caught:
            client.upload_blob(container, "a", b"x")
        assert len(proxy.seen) == 5
    assert waits == [3.0, 3.0, 4.0, 8.0]
    assert (caught.value.reason, caught.value.status, caught.value.code) == ("busy", 503, "ServerBusy")
    assert "throttled" in caught.value.fix


def test_nobody_there() -> None:
    waits = Waits()
    with (
        AzureBlobClient(
            connection_string=Azurite.connection_string_for("http://127.0.0.1:9"), pace=waits.pace(3)
        ) as client,
        pytest.raises(BlobError) as caught,
    ):
        client.download_blob("some", "blob")
    assert caught.value.reason == "unreachable"
    assert "private endpoint" in caught.value.fix
    assert KEY[:12] not in str(caught.value)
    assert len(waits) == 2


def test_what_is_refused_is_not_tried_again(azurite: Azurite, container: str) -> None:
    waits = Waits()
    with (
        AzureBlobClient(
            lambda: "d3Jvbmc=", "devstoreaccount1", account_url=azurite.url, pace=waits.pace()
        ) as client,
        pytest.raises(BlobError) as caught,
    ):
        client.download_blob(container, "a")
    assert caught.value.reason == "refused"
    assert "Storage Blob Data Reader" in caught.value.fix
    assert waits == []


def test_the_governor_slows_down_and_stops(azurite: Azurite, client: AzureBlobClient, container: str) -> None:
    client.upload_blob(container, "a", b"x")
    clock = [0.0]
    slept = Waits()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    governed = Governed(most_in_flight=8, clock=lambda: clock[0], sleep=sleep)
    days = iter([Fault.BUSY] * 2 + [Fault.RESET] * 60)
    with FaultProxy(azurite.endpoint, lambda _m, _p: next(days, Fault.NONE), retry_after="5") as proxy:
        pace = Pace(Retrying(attempts=80, sleep=lambda _seconds: None), governed)
        with AzureBlobClient(
            connection_string=Azurite.connection_string_for(proxy.endpoint), pace=pace
        ) as again:
            assert again.download_blob(container, "a") == b"x"
    state = governed.governor.state(clock[0])
    assert slept[:2] == [5.0, 5.0]
    assert (state.throttled, state.in_flight) == (2, 0)
    assert state.breaker_opened > 1
    assert state.breaker is BreakerState.CLOSED
