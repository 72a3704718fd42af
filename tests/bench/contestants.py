"""What a gateway has to offer to be measured."""

from __future__ import annotations

from typing import Protocol

import configs


class Contestants(Protocol):
    """A gateway with several ways through it. Each answers the bench's request with 200."""

    native: str

    def contestants(self) -> list[str]:
        """Their names; `nothing` is one of them, and `native`, the gateway's own filter for JWTs."""
        ...

    def url(self, config: str) -> str: ...

    def processes(self) -> list[int]:
        """Those whose time counts."""
        ...

    def stop(self) -> None: ...


def quiet(parts: configs.Parts, name: str) -> configs.Config:
    return {**configs.base(parts, name), "audit": {"log": False}}
