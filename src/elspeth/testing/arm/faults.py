"""Things that a test makes go wrong."""

from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(slots=True)
class Fault:
    """An answer that is given instead of the right one, to the next ``times`` requests that match, once
    ``after`` have passed.

    ``path`` is a glob over the path without the query (case does not count), ``retry_after`` the header's
    value (None: no header). ``drop``: the work is done, but the connection ends without an answer.
    ``asynchronous``: the request is accepted, and its operation fails with ``code`` at the end.
    """

    method: str = "*"
    path: str = "*"
    status: int = 500
    code: str = "InternalServerError"
    message: str = "Something went wrong."
    retry_after: str | None = None
    times: int = 1
    after: int = 0
    drop: bool = False
    asynchronous: bool = False

    def matches(self, method: str, path: str) -> bool:
        """Whether it is this request's turn."""
        fits = fnmatch(method, self.method) and fnmatch(path.lower(), self.path.lower())
        return self.times > 0 and fits


class Refusal(Exception):
    """A request is answered with an error of Azure's form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
