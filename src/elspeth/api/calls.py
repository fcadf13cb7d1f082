"""What a run's calls have in common: limits, budget, and the run that answers in their place."""

from decimal import Decimal
from typing import Any

from elspeth.api.assemble import Assembled
from elspeth.contracts.enums import RunMode
from elspeth.contracts.errors import UsageError
from elspeth.core.config import PipelineSettings
from elspeth.core.config.runtime import RetrySettings
from elspeth.core.landscape.calls.journal import CallLookup, EarlierCalls
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.fabric.governor import Budget, Governor, Price, PriceTable, ServiceLimits


def prepare_calls(db: LandscapeDB, assembled: Assembled, resumed: str | None = None) -> None:
    """Give every plugin that calls out the run's governor and, in replay and verify, the earlier run.

    ``resumed`` is the run that goes on: what it has spent counts. Raises NotFoundError for an unknown
    run in ``replay_from``, UsageError where answers are needed that were purged.
    """
    settings = assembled.loaded.settings
    callers: list[Any] = [
        plugin for plugin in assembled.assembly.transforms.values() if hasattr(plugin, "governor")
    ]
    if not callers:
        if settings.run_mode is not RunMode.LIVE:
            LandscapeReader(db).run(settings.replay_from or "latest")
        return
    governor = governor_of(settings)
    if resumed is not None:
        made = CallLookup(db, resumed)
        _must_have_answers(made, "it can't go on", "start a new run")
        if governor.budget is not None:
            governor.budget.start_from(*made.spent())
    earlier = None
    if settings.run_mode is not RunMode.LIVE:
        run = LandscapeReader(db).run(settings.replay_from or "latest")
        earlier = EarlierCalls(settings.run_mode, CallLookup(db, run.run_id))
        _must_have_answers(
            earlier.calls,
            f"there is nothing to {settings.run_mode.value} from",
            "name another run in replay_from, or set run_mode: live",
        )
    for plugin in callers:
        plugin.governor, plugin.earlier = governor, earlier
        _tell_of_retries(plugin, settings.retry)


def _tell_of_retries(plugin: Any, retry: RetrySettings) -> None:
    """A plugin that tries again by itself goes by ``retry`` where its own options say nothing else."""
    if not getattr(plugin, "retries_itself", False):
        return
    names = ("max_attempts", "initial_delay_seconds", "max_delay_seconds")
    said = {name: getattr(retry, name) for name in names if name in retry.model_fields_set}
    own = plugin.options.model_fields_set
    plugin.options = plugin.options.model_copy(
        update={name: value for name, value in said.items() if name not in own}
    )


def _must_have_answers(calls: CallLookup, so: str, fix: str) -> None:
    gone = calls.purged()
    if gone:
        raise UsageError(
            f"run {calls.run_id} was purged: the answers of {gone} calls are gone; {so}", fix=fix
        )


def governor_of(settings: PipelineSettings) -> Governor:
    """The governor that a pipeline file describes."""
    rate, money = settings.rate_limit, settings.budget
    limits = {
        name: ServiceLimits(service.requests_per_minute, service.tokens_per_minute)
        for name, service in rate.services.items()
    }
    budget = None
    if money.max_cost is not None or money.max_tokens is not None:
        cost = None if money.max_cost is None else Decimal(str(money.max_cost))
        budget = Budget("run", max_cost=cost, max_tokens=money.max_tokens)
    prices = {
        model: Price(Decimal(str(price.input)), Decimal(str(price.output)))
        for model, price in money.prices.items()
    }
    return Governor(
        limits=limits if rate.enabled else {},
        default=ServiceLimits(rate.default_requests_per_minute) if rate.enabled else ServiceLimits(),
        budget=budget,
        prices=PriceTable(prices),
    )
