"""What an address of Azure Resource Manager means."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, a collection of resources, or an action on one.

    ``id`` is the resource's, or for a collection that of what holds it; ``kind`` is
    ``Microsoft.Compute/virtualMachines`` or, for subnets, ``…/virtualNetworks/subnets``. ``name`` is
    empty for a collection. ``action`` is the last word of a POST, in small letters.
    """

    id: str
    subscription: str
    group: str
    kind: str
    name: str
    action: str = ""

    @property
    def key(self) -> str:
        """The id for comparing: case does not count in Azure."""
        return self.id.lower()


def parse(path: str, method: str) -> Target | None:
    """Take an address apart. None if it is none of ours."""
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2 or parts[0].lower() != "subscriptions":
        return None
    subscription, rest = parts[1], parts[2:]
    group, rest = _group(rest)
    base = f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
    if not rest:
        return Target(base, subscription, group, "Microsoft.Resources/resourceGroups", group)
    if rest == ["resourceGroups"] or rest == ["resourcegroups"]:
        return Target(base, subscription, "", "Microsoft.Resources/resourceGroups", "")
    if rest[0].lower() != "providers" or len(rest) < 2:
        return None
    namespace, tail = rest[1], rest[2:]
    action = tail.pop().lower() if method == "POST" and len(tail) % 2 else ""
    if not tail:
        return Target(base, subscription, group, namespace, namespace, action)
    kind = "/".join([namespace, *tail[0::2]])
    if len(tail) % 2:
        return Target(_join(base, namespace, tail[:-1]), subscription, group, kind, "")
    return Target(_join(base, namespace, tail), subscription, group, kind, tail[-1], action)


def _group(rest: list[str]) -> tuple[str, list[str]]:
    if len(rest) >= 2 and rest[0].lower() == "resourcegroups":
        return rest[1], rest[2:]
    return "", rest


def _join(base: str, namespace: str, tail: list[str]) -> str:
    return "/".join([base, "providers", namespace, *tail]) if tail else base
