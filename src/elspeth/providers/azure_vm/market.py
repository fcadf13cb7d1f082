"""What can be had in a region: sizes that are for sale, and quotas."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.core.config.document import did_you_mean
from elspeth.fabric.adapter import Market, Offer, Quote
from elspeth.providers.azure_vm.connection import Connection
from elspeth.providers.azure_vm.errors import InvalidRequestError, translated

SPOT_QUOTA = "lowPriorityCores"
REGIONAL_QUOTA = "cores"


@dataclass(frozen=True, slots=True)
class Size:
    """A size of machines in one region. ``refused``: why this subscription can't have it, else empty."""

    name: str
    family: str
    cores: int
    spot: bool
    refused: str = ""


def usages(connection: Connection, location: str) -> dict[str, tuple[int, int]]:
    """Cores in use and allowed in a region, by Azure's names of its quotas."""
    with translated(f"look at the quota of {location}"):
        found = [one.as_dict() for one in connection.compute.usage.list(location)]
    return {one["name"]["value"]: (int(one["currentValue"]), int(one["limit"])) for one in found}


def sizes(connection: Connection, location: str) -> dict[str, Size]:
    """The sizes of a region, also those that this subscription can't have. An unknown region has none."""
    with translated(f"look what sizes {location} has"):
        found = connection.compute.resource_skus.list(filter=f"location eq '{location}'")
        plain = [one.as_dict() for one in found]
    known = [_size(one) for one in plain if one.get("resourceType") == "virtualMachines"]
    return {one.name: one for one in known}


def market(connection: Connection, offers: Iterable[Offer], *, spot: bool) -> Market:
    """Quotes for offers. A region or size that Azure does not know is refused, in its quote."""
    wanted = sorted(set(offers))
    quotes: dict[Offer, Quote] = {}
    quotas: dict[str, tuple[int, int]] = {}
    for location in sorted({one.location for one in wanted}):
        here = [one for one in wanted if one.location == location]
        known = sizes(connection, location)
        if not known:
            quotes |= {one: Quote(refused="Azure has no such region, or sells nothing there") for one in here}
            continue
        try:
            used = usages(connection, location)
        except InvalidRequestError:
            quotes |= {one: Quote(refused="Azure tells no quota of this region") for one in here}
            continue
        quotas |= {f"{location} {name}": pair for name, pair in used.items()}
        # Azure does not always write a family in the same letters.
        spelt = {name.lower(): name for name in used}
        for one in here:
            meant = did_you_mean(one.size, list(known))
            quotes[one] = (
                _quote(one, known[one.size], spelt, spot=spot)
                if one.size in known
                else Quote(
                    refused="Azure has no such size there" + (f"; did you mean {meant}?" if meant else "")
                )
            )
    return Market(quotes, quotas)


def _quote(offer: Offer, size: Size, spelt: Mapping[str, str], *, spot: bool) -> Quote:
    if spot and not size.spot:
        return Quote(size.cores, refused="there are no spot machines of this size")
    family = spelt.get(size.family.lower(), size.family)
    names = (SPOT_QUOTA,) if spot else (REGIONAL_QUOTA, family)
    return Quote(size.cores, tuple(f"{offer.location} {name}" for name in names), size.refused)


def _size(raw: dict[str, Any]) -> Size:
    capabilities = {one["name"]: one["value"] for one in raw.get("capabilities") or []}
    closed = [one for one in raw.get("restrictions") or [] if one.get("type") == "Location"]
    why = f"not for this subscription ({closed[0].get('reasonCode', 'restricted')})" if closed else ""
    return Size(
        raw["name"],
        raw.get("family", ""),
        int(capabilities.get("vCPUs") or 0),
        capabilities.get("LowPriorityCapable") == "True",
        why,
    )
