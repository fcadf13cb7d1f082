"""Recording one thing at a time: each call is on record when it returns, in one transaction.

For callers outside the engine (a notebook, a test, an executor that runs by itself), and as the
independent account of a run against which the engine's bulk records are checked: both end in the
same tables, so that views and reader tell the same story of either.

Whatever is refused, with `RecordError` (a ValueError), leaves nothing behind. Times may be given
where something is recorded later than it happened.
"""
