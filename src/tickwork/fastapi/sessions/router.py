"""The API over sessions for operators: whose there are, how old and how big; and an end to them.

The rule: what is in a session is shown by one route, which is there only if the app says who may ask it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.params import Depends as Dependency

from tickwork.clock import SystemClock
from tickwork.errors import SessionNotFoundError
from tickwork.fastapi.checks import check_dependencies, check_depends, check_prefix
from tickwork.fastapi.guard import refuse_strangers, refuse_unknown_parameters
from tickwork.fastapi.models import ErrorView
from tickwork.fastapi.pages import Page, add_page
from tickwork.fastapi.router import Limit, Offset, TickworkRoute, UnprotectedRoutesError, add_rights
from tickwork.fastapi.sessions.models import ContentView, EndedView, SessionsView, SessionView
from tickwork.sessions import Sessions
from tickwork.sessions.sessions import check_sessions


def create_sessions_router(
    sessions: Sessions,
    *,
    dependencies: Sequence[Dependency] | None = None,
    changes: Sequence[Dependency] | None = None,
    content: Dependency | None = None,
    unprotected: bool = False,
    prefix: str = "",
) -> APIRouter:
    """The sessions that go on, as JSON and as a page at the root, and the verbs that end them.

        app.include_router(create_sessions_router(sessions, prefix="/sessions", dependencies=[Depends(admin)]))

    *dependencies* guard every route; without them this raises UnprotectedRoutesError, unless *unprotected* lets in
    everyone who can reach the server by a local name. *changes* guard the routes that end sessions besides; the page
    shows no buttons to whom they answer 401 or 403. *content*, such as `Depends(may_read_chats)`, guards the route that
    shows what is in a session; without it there is none.

    Routes, below *prefix*: `GET sessions` (of one user with `?user=`), `GET sessions/{id}`, `DELETE sessions/{id}`,
    `DELETE users/{user}/sessions`, and with *content* `GET sessions/{id}/content`. Looking on puts no end off. Errors
    are `{"detail": ...}` with 403, 404, 422 or 503.
    """
    check_sessions("create_sessions_router", sessions)
    check_dependencies("create_sessions_router", dependencies)
    check_dependencies("create_sessions_router", changes, "changes")
    if content is not None:
        check_depends("create_sessions_router: content", content)
    check_prefix(prefix)
    if bool(dependencies) == unprotected:
        raise UnprotectedRoutesError(
            f"create_sessions_router: expected dependencies=[Depends(...)] or unprotected=True, "
            f"got {'both' if unprotected else 'neither'}: say who may list and end sessions"
        )
    guards = dependencies or [Depends(refuse_strangers(()))]
    router = APIRouter(
        prefix=prefix, tags=["sessions"], route_class=TickworkRoute,
        dependencies=[*guards, Depends(refuse_unknown_parameters)],
    )  # fmt: skip
    add_reading_routes(router, sessions, shows_content=content is not None)
    if content is not None:
        add_content_route(router, sessions, content)
    add_ending_routes(router, sessions, changes or ())
    add_rights(router, changes or (), read_only=False)
    add_page(router, Page("sessions", "tickwork sessions", "Sessions", "sessions"))
    return router


def add_reading_routes(router: APIRouter, sessions: Sessions, *, shows_content: bool) -> None:
    @router.get("/sessions")
    def listing(
        *,
        user: Annotated[str | None, Query(description="Of this user alone, the last one used first.")] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> SessionsView:
        """The sessions that go on, those that end last first."""
        if user is None:
            count, page = sessions.count(), sessions.records(limit=limit, offset=offset)
        else:
            of_user = sessions.of_user(user)
            count, page = len(of_user), of_user[offset : offset + limit]
        return SessionsView(
            now=SystemClock().now(), store=sessions.location, name=sessions.name, count=count,
            shows_content=shows_content, sessions=[SessionView.of(record) for record in page],
        )  # fmt: skip

    @router.get("/sessions/{id}", responses={404: {"model": ErrorView}})
    def session(id: str) -> SessionView:
        """One session, without what is in it."""
        record = sessions.find(id)
        if record is None:
            raise SessionNotFoundError
        return SessionView.of(record)


def add_content_route(router: APIRouter, sessions: Sessions, content: Dependency) -> None:
    @router.get("/sessions/{id}/content", dependencies=[content], responses={404: {"model": ErrorView}})
    def what_is_in_it(id: str) -> ContentView:
        """What is in a session: its history and its state."""
        return ContentView.of(sessions.content(id))


def add_ending_routes(router: APIRouter, sessions: Sessions, changes: Sequence[Dependency]) -> None:
    @router.delete(
        "/sessions/{id}",
        status_code=204,
        response_model=None,
        dependencies=changes,
        responses={404: {"model": ErrorView}},
    )
    def destroy(id: str) -> None:
        """End a session: its token opens nothing from now on, and what is in it is deleted."""
        if not sessions.destroy(id):
            raise SessionNotFoundError

    @router.delete("/users/{user:path}/sessions", dependencies=changes)
    def destroy_user(user: str) -> EndedView:
        """End all sessions of a user, on all devices."""
        return EndedView(ended=sessions.destroy_user(user))
