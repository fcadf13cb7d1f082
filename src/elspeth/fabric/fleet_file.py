"""``fleet.yaml``: a fleet of machines as somebody wrote it down."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from elspeth.contracts.errors import ConfigurationError
from elspeth.core.config.loader import read_document
from elspeth.core.config.models_base import Settings, broken_rule
from elspeth.core.config.translate import problems_of
from elspeth.fabric.adapter import Intent

Dollars = Annotated[float, Field(ge=0.0)]


class FleetSettings(Settings):
    """A fleet in one region, of one size. ``prices`` and ``cores`` are per machine, by size."""

    fleet: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}$", description="The fleet's name; machines are called after it."
    )
    subscription_id: str = Field(min_length=1, description="The Azure subscription.")
    resource_group: str = Field(min_length=1, description="The resource group; made if it is not there.")
    location: str = Field(min_length=1, description="The Azure region.")
    size: str = Field(min_length=1, description="The machines' size.")
    count: int = Field(ge=0, le=1000, description="How many machines.")
    budget_per_hour: Dollars = Field(description="What the fleet may cost per hour, in US dollars.")
    prices: dict[str, Dollars] = Field(description="What a machine costs per hour in US dollars, by size.")
    cores: dict[str, Annotated[int, Field(ge=1)]] = Field(
        description="How many cores a machine has, by size."
    )
    spot: bool = Field(default=False, description="Spare capacity: cheaper, taken back at any time.")
    image: str | None = Field(default=None, description="`publisher:offer:sku:version`, or an image's id.")
    ssh_public_key: str | None = Field(
        default=None, description="The only way to log in; without it there is none."
    )
    cloud_init: str | None = Field(default=None, description="The text of a cloud-init file.")
    subnet_id: str | None = Field(
        default=None, description="The subnet; default: a network of the resource group."
    )
    public_ip: bool = Field(default=False, description="Whether each machine has an address of its own.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of everything that is made.")
    parallel: int = Field(default=8, ge=1, le=64, description="How many machines are made at once.")

    @model_validator(mode="after")
    def _known(self) -> "FleetSettings":
        for name, table in (("prices", self.prices), ("cores", self.cores)):
            if self.size not in table:
                raise broken_rule(
                    f"{name} does not have the size {self.size}", fix=f"add it to {name}", at=(name,)
                )
        return self

    def intent(self) -> Intent:
        """What the fleet should be."""
        return Intent(
            self.fleet,
            self.count,
            self.size,
            self.location,
            self.spot,
            self.prices,
            self.cores,
            self.budget_per_hour,
        )


def load_fleet(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> FleetSettings:
    """Read a fleet file, with ``${NAME}`` expanded. Raises ConfigurationError with every problem and its
    place.
    """
    document = read_document(Path(path), os.environ if environ is None else environ)
    try:
        settings = FleetSettings.model_validate(document.data)
    except ValidationError as error:
        document.problems += problems_of(document, error.errors(include_url=False), FleetSettings)
    if document.problems:
        raise ConfigurationError(document.problems)
    return settings
