"""The options that say which account, and who we are there."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from elspeth.providers.azure_blob.base import Pace
from elspeth.providers.azure_blob.calls import Retrying
from elspeth.providers.azure_blob.credentials import BlobLogin
from elspeth.providers.azure_blob.governed import Governed

_LOGIN = tuple(BlobLogin.__dataclass_fields__)


class AzureAccess(BaseModel):
    """An account and exactly one credential."""

    container: str = Field(min_length=3, max_length=63, description="The container.")
    account_name: str | None = Field(default=None, description="The storage account.")
    account_url: str | None = Field(
        default=None, description="The account's blob endpoint, for other clouds; default: public Azure."
    )
    connection_string: str | None = Field(
        default=None, repr=False, description="Credential: a connection string (names the account, too)."
    )
    account_key: str | None = Field(default=None, repr=False, description="Credential: an account key.")
    sas_token: str | None = Field(
        default=None, repr=False, description="Credential: a shared access signature."
    )
    use_default_credential: bool = Field(
        default=False, description="Credential: whatever DefaultAzureCredential finds (CLI, environment, …)."
    )
    use_managed_identity: bool = Field(
        default=False,
        description="Credential: this machine's managed identity; `client_id` names a user-assigned one.",
    )
    use_workload_identity: bool = Field(
        default=False, description="Credential: the workload identity of a Kubernetes pod."
    )
    tenant_id: str | None = Field(default=None, description="The tenant of a service principal.")
    client_id: str | None = Field(
        default=None, description="The service principal, or the user-assigned managed identity."
    )
    client_secret: str | None = Field(
        default=None, repr=False, description="Credential: the service principal's secret."
    )
    max_attempts: int = Field(
        default=6, ge=1, le=20, description="How often a storage call is tried when the service is busy."
    )
    initial_delay_seconds: float = Field(
        default=0.5, ge=0.0, description="The longest wait before the second try; it doubles each time."
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="How many storage calls run side by side.")

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if problem := self.login().problem():
            raise ValueError(problem)
        return self

    def pace(self) -> Pace:
        """How often and how soon a call is tried again, and how many there are at once."""
        retrying = Retrying(attempts=self.max_attempts, initial_s=self.initial_delay_seconds)
        return Pace(retrying, Governed(), self.concurrency)

    def login(self) -> BlobLogin:
        """The account and the credential."""
        return BlobLogin(**{name: getattr(self, name) for name in _LOGIN})
