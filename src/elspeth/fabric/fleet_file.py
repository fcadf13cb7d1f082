"""``fleet.yaml``: a fleet of machines as somebody wrote it down."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from elspeth.contracts.errors import ConfigurationError
from elspeth.core.config.document import Document
from elspeth.core.config.loader import read_document
from elspeth.core.config.models_base import Settings, Text, broken_rule
from elspeth.core.config.translate import problems_of
from elspeth.fabric.adapter import Intent, Offer
from elspeth.fabric.manifest.settings import ManifestSettings

Dollars = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0)]
LONGEST_NAME = 40
Few = Annotated[list[Text], Field(min_length=1)]


def _fleet_name(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise broken_rule(
            f"this name has {len(name)} characters; {LONGEST_NAME} are allowed (machines' names have 64)",
            fix="take a shorter name",
        )
    if re.fullmatch(r"[a-z][a-z0-9-]*", name) is None:
        raise broken_rule(
            f"{name!r} can't be part of machines' names",
            fix="begin with a small letter; use small letters, digits and '-' only",
        )
    return name


class BudgetSettings(Settings):
    """What a fleet may cost. Set aside before anything is created, at the dearest that the plan allows."""

    per_hour: Dollars = Field(description="What all machines together may cost per hour, in US dollars.")
    per_day: Dollars | None = Field(
        default=None, description="What may be spent in a day (UTC); machines that run on count ahead."
    )
    total: Dollars | None = Field(
        default=None, description="What the fleet may cost in all, from the first on."
    )
    hours: Annotated[float, Field(gt=0.0)] = Field(
        default=24.0, description="For how many hours the cost of a machine is set aside when it is created."
    )


class NetworkSettings(Settings):
    """Where machines are connected."""

    subnets: dict[str, str] = Field(
        default_factory=dict,
        description="Region → id of the subnet there; elsewhere a network of the resource group is made.",
    )
    public_ip: bool = Field(default=False, description="Whether each machine has an address of its own.")


class PolicySettings(Settings):
    """A rule that every plan must keep."""

    rule: Text = Field(
        description="In CEL, over `plan`, `fleet` and, for each machine that is made or changed, `vm`."
    )
    message: Text = Field(description="What is said when the rule is broken.")


class ApprovalSettings(Settings):
    """Above which limits a plan needs somebody's approval."""

    cost_per_hour: Dollars | None = Field(
        default=None, description="Plans whose fleet may cost more per hour need approval."
    )
    creates: Count | None = Field(default=None, description="Plans that create more machines need approval.")
    deletes: Count | None = Field(default=None, description="Plans that delete more machines need approval.")
    valid_hours: Annotated[float, Field(gt=0.0)] = Field(
        default=24.0, description="For how many hours an approval holds."
    )
    own: bool = Field(default=False, description="Whether who made the plan may approve it.")


class FleetSettings(Settings):
    """A fleet. ``prices`` are per machine and hour, by size."""

    fleet: Annotated[str, AfterValidator(_fleet_name)] = Field(
        description="The fleet's name; machines are called after it."
    )
    subscription_id: Text = Field(description="The Azure subscription.")
    resource_group: Text = Field(description="The resource group; made if it is not there.")
    regions: Few = Field(description="Azure regions, in order of preference.")
    sizes: Few = Field(
        description="Sizes of machines, in order of preference; all are tried in one region first."
    )
    count: int = Field(ge=0, le=1000, description="How many machines.")
    budget: BudgetSettings = Field(description="What it may cost.")
    prices: dict[str, Dollars] = Field(description="What a machine costs per hour in US dollars, by size.")
    spot: bool = Field(default=False, description="Spare capacity: cheaper, taken back at any time.")
    spot_eviction: Literal["Deallocate", "Delete"] = Field(
        default="Deallocate", description="What is left of an evicted machine: its disks, or nothing."
    )
    spot_max_price: float = Field(
        default=-1.0, ge=-1.0, description="US dollars per hour; -1 means up to the normal price."
    )
    scale_set: bool = Field(
        default=False, description="One flexible scale set of so many machines instead of single ones."
    )
    network: NetworkSettings = Field(
        default_factory=NetworkSettings, description="Where machines are connected."
    )
    image: str | None = Field(default=None, description="`publisher:offer:sku:version`, or an image's id.")
    ssh_public_key: str | None = Field(
        default=None, description="The only way to log in; without it there is none."
    )
    cloud_init: str | None = Field(default=None, description="The text of a cloud-init file.")
    os_disk_gb: Annotated[int, Field(ge=1, le=4095)] | None = Field(
        default=None, description="Size of the system disk; default: the image's."
    )
    identity: str | None = Field(
        default=None, description="`system`, or the id of a user-assigned identity that machines have."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of everything that is made.")
    policies: list[PolicySettings] = Field(
        default_factory=list, description="Rules that every plan must keep."
    )
    approval: ApprovalSettings | None = Field(
        default=None, description="Above which limits somebody must approve a plan."
    )
    manifest: ManifestSettings = Field(
        default_factory=ManifestSettings,
        description="What the provider promises, and whose signature counts.",
    )
    parallel: int = Field(default=25, ge=1, le=64, description="How many machines are worked on at once.")

    @model_validator(mode="after")
    def _known(self) -> "FleetSettings":
        for key, values in (("regions", self.regions), ("sizes", self.sizes)):
            twice = next((one for one in values if values.count(one) > 1), None)
            if twice is not None:
                raise broken_rule(f"{twice!r} is there twice", fix="take one out", at=(key,))
        for index, size in enumerate(self.sizes):
            if size not in self.prices:
                raise broken_rule(
                    f"prices does not have the size {size}",
                    fix=f"add it: `{size}: 0.10` (US dollars per hour)",
                    at=("sizes", index),
                )
        for region in self.network.subnets:
            if region not in self.regions:
                raise broken_rule(
                    f"{region!r} is none of the regions",
                    fix="name it in `regions`",
                    at=("network", "subnets", region),
                )
        reserved = [name for name in self.tags if name.lower().startswith("elspeth-")]
        if reserved:
            raise broken_rule(
                "tags that begin with elspeth- are ours", fix="take another name", at=("tags", reserved[0])
            )
        return self

    def offers(self) -> tuple[Offer, ...]:
        """Where machines may stand, in order of preference: every size in the first region, then the next."""
        return tuple(Offer(region, size) for region in self.regions for size in self.sizes)

    def terms(self) -> str:
        """A digest of everything in the file: an approval of one file is none of another."""
        return sha256(self.model_dump_json().encode()).hexdigest()

    def intent(self) -> Intent:
        """What the fleet should be."""
        return Intent(
            self.fleet,
            self.count,
            self.offers(),
            {size: self.prices[size] for size in self.sizes},
            self.spot,
            self.scale_set,
            self.budget.per_hour,
            self.terms(),
        )


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A fleet file that was read: what it says, and where."""

    settings: FleetSettings
    document: Document

    def refused(self, problems: list[tuple[tuple[str | int, ...], str, str]]) -> ConfigurationError:
        """The error for things that are wrong at key paths of the file: path, what, fix."""
        return FleetFileError([self.document.problem(path, what, fix) for path, what, fix in problems])


class FleetFileError(ConfigurationError):
    """A fleet file was refused. ``problems`` holds everything that is wrong with it."""

    subject = "fleet file"


def read_fleet(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> FleetFile:
    """Read a fleet file, with ``${NAME}`` expanded. Raises ConfigurationError with every problem and its
    place.
    """
    document = read_document(Path(path), os.environ if environ is None else environ)
    settings: FleetSettings | None = None
    try:
        settings = FleetSettings.model_validate(document.data)
    except ValidationError as error:
        document.problems += problems_of(document, error.errors(include_url=False), FleetSettings)
    if document.problems or settings is None:
        raise FleetFileError(document.problems)
    return FleetFile(settings, document)


def load_fleet(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> FleetSettings:
    """The settings of a fleet file; raises as `read_fleet`."""
    return read_fleet(path, environ).settings


def fleet_schema() -> dict[str, Any]:
    """A JSON Schema of fleet files, for editors."""
    found = FleetSettings.model_json_schema()
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found, "title": "ELSPETH fleet"}
