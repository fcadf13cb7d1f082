"""What a configuration says of a provider's manifest: which file, and whose signature counts."""

from pydantic import Field, model_validator

from elspeth.core.config.models_base import Settings, Text, broken_rule


class ManifestSettings(Settings):
    """Whose word is believed. The keys are pinned here: a key inside a manifest proves nothing."""

    file: Text | None = Field(
        default=None, description="The manifest, signed or not; default: the one that comes with ELSPETH."
    )
    require_signed: bool = Field(
        default=False,
        description="Whether the provider is used only if a trusted key signed its manifest as it is, "
        "and it has not expired.",
    )
    trusted_keys: list[Text] = Field(
        default_factory=list, description="Public keys that count: their text, or `.pub` files."
    )

    @model_validator(mode="after")
    def _complete(self) -> "ManifestSettings":
        if self.require_signed and not self.trusted_keys:
            raise broken_rule(
                "no key is trusted, so that no manifest could be",
                fix="name the public keys that count (`elspeth keys new` makes a pair)",
                at=("trusted_keys",),
            )
        if self.require_signed and self.file is None:
            raise broken_rule(
                "the manifest that comes with ELSPETH is not signed",
                fix="sign one (`elspeth providers manifest`, `elspeth manifest sign`), and name it here",
                at=("file",),
            )
        return self
