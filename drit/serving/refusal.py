"""What a client is told when a request is not answered: a status, what was wrong, and the next thing to do."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException

NEXT = "Change the request: /docs lists fields, ranges and defaults."


class Refusal(HTTPException):
    """A request that is not answered. It passes through the framework as it is, wherever it is raised."""

    def __init__(self, status: int, error: str, next: str = NEXT, retry_after: float = 0.0) -> None:
        """retry_after: seconds after which the client may try again; 0: it is not told."""
        headers = {"Retry-After": str(max(1, math.ceil(retry_after)))} if retry_after else {}
        super().__init__(status, error, headers)
        self.next = next

    @property
    def body(self) -> dict[str, str]:
        """What the client gets, as JSON."""
        return {"error": str(self.detail), "next": self.next}
