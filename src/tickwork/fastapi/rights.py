"""What who asks may do: so that a page shows no buttons to those who may only look.

The rule: this hides buttons and guards nothing. What guards a route is asked at that route, each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

LET_IN = "tickwork.let_in"
"""Where a request has that it may look."""


class RightsView(BaseModel):
    """What who asks may do."""

    change: bool = Field(description="Whether they may call the routes that change something.")


class RightsRoute(APIRoute):
    """A route at which a refusal is an answer, if it comes from those who guard changes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as refusal:
                if refusal.status_code not in (401, 403) or not request.scope.get(LET_IN):
                    raise
                return Response(json.dumps({"change": False}), media_type="application/json")

        return answer


def add_rights(router: APIRouter, changes: Sequence[Dependency], *, read_only: bool) -> None:
    async def rights() -> RightsView:
        """What you may do here: whether the routes that change something would let you in."""
        return RightsView(change=not read_only)

    dependencies = [Depends(_let_in), *changes]
    router.add_api_route("/rights", rights, dependencies=dependencies, route_class_override=RightsRoute)


def _let_in(request: Request) -> None:
    """The guards of all routes, which are asked first, have nothing against it."""
    request.scope[LET_IN] = True
