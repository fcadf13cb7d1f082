"""Bodies held against the wire types that the SDK ships."""

import typing
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Required, Union, get_args, get_origin, get_type_hints, is_typeddict
from typing import Required as RequiredExtension

from azure.mgmt.compute import models as compute_models
from azure.mgmt.compute import types as compute_types
from azure.mgmt.network import models as network_models
from azure.mgmt.network import types as network_types
from typing_extensions import is_typeddict as is_extended_typeddict

_ROOMS = {"compute": (compute_types, compute_models), "network": (network_types, network_models)}
_BY_RESOURCE = {
    "microsoft.compute/virtualmachines": ("compute", "VirtualMachine"),
    "microsoft.compute/virtualmachinescalesets": ("compute", "VirtualMachineScaleSet"),
    "microsoft.compute/disks": ("compute", "Disk"),
    "microsoft.compute/images": ("compute", "Image"),
    "microsoft.network/networkinterfaces": ("network", "NetworkInterface"),
    "microsoft.network/virtualnetworks": ("network", "VirtualNetwork"),
    "microsoft.network/virtualnetworks/subnets": ("network", "Subnet"),
    "microsoft.network/publicipaddresses": ("network", "PublicIPAddress"),
}
_ACTIONS = {
    "runcommand": "RunCommandInput",
    "capture": "VirtualMachineCaptureParameters",
    "installpatches": "VirtualMachineInstallPatchesParameters",
    "attachdetachdatadisks": "AttachDetachDataDisksRequest",
}


class WireError(Exception):
    """A body does not have the form of its type. The text names the place and the fault."""


def check_resource(kind: str, body: Any, *, update: bool = False) -> None:
    """Hold the body of a resource against its type; ``kind`` is ``Microsoft.Compute/virtualMachines``, in
    any case. ``update``: a PATCH. Raises WireError.
    """
    found = _BY_RESOURCE.get(kind.lower())
    if found is not None:
        room, name = found
        check(body, wire_type(room, f"{name}Update" if update else name), name)


def check_action(action: str, body: Any) -> None:
    """Hold the body of a POST against its type. Raises WireError."""
    name = _ACTIONS.get(action.lower())
    if name is not None:
        check(body, wire_type("compute", name), name)


@lru_cache(maxsize=64)
def wire_type(room: str, name: str) -> Any:
    """A wire type of the SDK by its name; ``room`` is ``compute`` or ``network``."""
    return getattr(_ROOMS[room][0], name)


def check(value: Any, annotation: Any, where: str) -> None:
    """Hold ``value`` against a type: unknown keys, missing keys that are required, wrong kinds."""
    origin = get_origin(annotation)
    if origin in (Required, RequiredExtension):
        check(value, get_args(annotation)[0], where)
    elif origin is Union:
        _check_union(value, get_args(annotation), where)
    elif origin is list:
        _expect(isinstance(value, list), value, "a list", where)
        for number, item in enumerate(value):
            check(item, get_args(annotation)[0], f"{where}[{number}]")
    elif origin is dict:
        _expect(isinstance(value, dict), value, "an object", where)
        for key, item in value.items():
            check(item, get_args(annotation)[1], f"{where}.{key}")
    elif is_typeddict(annotation) or is_extended_typeddict(annotation):
        _check_object(value, annotation, where)
    elif annotation is not Any:
        _check_scalar(value, annotation, where)


def _check_union(value: Any, options: tuple[Any, ...], where: str) -> None:
    problems = []
    for option in options:
        try:
            return check(value, option, where)
        except WireError as error:
            problems.append(error)
    raise problems[0]


def _check_object(value: Any, annotation: Any, where: str) -> None:
    _expect(isinstance(value, dict), value, "an object", where)
    hints = _hints(annotation)
    for key, item in value.items():
        if key not in hints:
            raise WireError(
                f"{where}: could not find member '{key}' on object of type '{annotation.__name__}'"
            )
        if item is not None:
            check(item, hints[key], f"{where}.{key}")
    for key, hint in hints.items():
        if get_origin(hint) in (Required, RequiredExtension) and value.get(key) is None:
            raise WireError(f"{where}: required parameter '{key}' is missing (null)")


def _check_scalar(value: Any, annotation: Any, where: str) -> None:
    if annotation is type(None):
        _expect(value is None, value, "null", where)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        _expect(isinstance(value, str), value, "text", where)
    elif annotation is float:
        _expect(isinstance(value, int | float) and not isinstance(value, bool), value, "a number", where)
    elif annotation is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), value, "a whole number", where)
    elif isinstance(annotation, type):
        _expect(isinstance(value, annotation), value, annotation.__name__, where)


def _expect(fits: bool, value: Any, wanted: str, where: str) -> None:
    if not fits:
        raise WireError(f"{where}: {wanted} is expected, not {type(value).__name__}")


@lru_cache(maxsize=512)
def _hints(annotation: Any) -> Mapping[str, Any]:
    # The SDK imports enums for type checkers only; they are in its module of models.
    room = "network" if ".network." in annotation.__module__ else "compute"
    types, models = _ROOMS[room]
    names = {**vars(typing), **vars(models), **vars(types)}
    return get_type_hints(annotation, globalns=names, include_extras=True)
