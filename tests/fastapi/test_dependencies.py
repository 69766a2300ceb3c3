"""The tree of dependencies is found in signatures; what no run can be given is refused when the job is added."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Path,
    Query,
    Request,
    Response,
    Security,
    WebSocket,
)
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.datastructures import State

from tickwork import InvalidJobError, RunContext
from tickwork.executors.call import keep_arguments, wants_of
from tickwork.fastapi.dependencies import Given, Kind, Known, Use, dependency_of
from tickwork.fastapi.dependencies import wants_of as wishes_of
from tickwork.testing import ManualScheduler

if TYPE_CHECKING:
    from decimal import Decimal


def get_url() -> str:
    return "url"


class Pages:
    def __init__(self, url: Annotated[str, Depends(get_url)], size: int = 10) -> None: ...


async def get_token(run: RunContext, app: FastAPI, state: State, other: FastAPI | None = None) -> str:
    return "token"


def get_session(pages: Pages = Depends(), token: str = Depends(get_token)) -> Iterator[str]:
    yield "session"


async def get_client(url: Annotated[str, Depends(get_url)]) -> AsyncIterator[str]:
    yield "client"


class Called:
    async def __call__(self) -> str:
        return "called"


class Yielding:
    def __call__(self) -> Iterator[str]:
        yield "called"


@functools.wraps(get_client)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return get_client(*args, **kwargs)


def nightly(
    run: RunContext, session: Annotated[str, Depends(get_session)], app: FastAPI, state: State, folder: str = "in"
) -> None: ...


def test_a_jobs_wishes_are_found_and_the_others_are_its_arguments() -> None:
    wants = wishes_of(nightly)

    session = wants["session"]
    assert isinstance(session, Use)
    assert [type(want) for want in wants.values()] == [Use, Known, Known]
    assert session.dependency.kind is Kind.GENERATOR
    assert session.dependency.wants.keys() == {"pages", "token"}
    assert keep_arguments(nightly, [], {"folder": "out"}) == ((), {"folder": "out"})
    with pytest.raises(InvalidJobError, match=r"expected what nightly\(folder: str = 'in'\) -> None takes"):
        keep_arguments(nightly, [], {"file": "out"})
    with pytest.raises(InvalidJobError, match="expected 'session' to be left out, got a value: it is resolved anew"):
        keep_arguments(nightly, [], {"session": "out"})


def test_the_tree_goes_as_deep_as_the_signatures() -> None:
    session = dependency_of(get_session)

    pages, token = session.wants["pages"], session.wants["token"]
    assert isinstance(pages, Use)
    assert isinstance(token, Use)
    assert (pages.dependency.call, pages.dependency.wants.keys()) == (Pages, {"url"})
    assert [(want.what, want.has_default) for want in token.dependency.wants.values() if isinstance(want, Known)] == [
        (Given.RUN, False), (Given.APP, False), (Given.STATE, False), (Given.APP, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (get_url, Kind.FUNCTION),
        (Pages, Kind.FUNCTION),
        (dict, Kind.FUNCTION),
        (get_token, Kind.COROUTINE),
        (Called(), Kind.COROUTINE),
        (get_session, Kind.GENERATOR),
        (Yielding(), Kind.GENERATOR),
        (get_client, Kind.ASYNC_GENERATOR),
        (functools.partial(get_client, url="u"), Kind.ASYNC_GENERATOR),
        (wrapped, Kind.ASYNC_GENERATOR),
    ],
)
def test_how_a_value_is_had_is_seen_as_fastapi_sees_it(call: Any, kind: Kind) -> None:
    assert dependency_of(call).kind is kind


# what is refused, by a job or by what it depends on

reads_tokens = OAuth2PasswordBearer(tokenUrl="token")


def of_request(request: Request) -> None: ...
def of_maybe_request(request: Request | None = None) -> None: ...
def of_websocket(websocket: WebSocket) -> None: ...
def of_response(response: Response) -> None: ...
def of_tasks(tasks: BackgroundTasks) -> None: ...
def of_scopes(scopes: SecurityScopes) -> None: ...
def of_query(page: int) -> None: ...
def of_bare_name(page) -> None: ...  # type: ignore[no-untyped-def]
def of_query_marker(page: Annotated[int, Query()] = 1) -> None: ...
def of_query_default(page: int = Query(1)) -> None: ...
def of_header(token: Annotated[str, Header()]) -> None: ...
def of_cookie(token: str = Cookie()) -> None: ...
def of_path(item: Annotated[int, Path()]) -> None: ...
def of_body(item: dict[str, int] = Body()) -> None: ...
def of_security(token: Annotated[str, Depends(reads_tokens)]) -> None: ...
def deep(value: Annotated[None, Depends(of_request)]) -> None: ...


REFUSED = [
    (of_request, "parameter 'request' of of_request: expected what a run can be given, got Request: there is no request in a run: let it take `app: FastAPI`"),
    (of_maybe_request, "got Request: there is no request in a run"),
    (of_websocket, "got WebSocket: there is no request in a run"),
    (of_response, "got Response: there is nobody to answer"),
    (of_tasks, "got BackgroundTasks: a run is in the background already"),
    (of_scopes, "got SecurityScopes: nobody is to be let in"),
    (of_query, r"parameter 'page' of of_query: expected Depends\(...\), RunContext, FastAPI, State or a default, got int, which a request would fill"),
    (of_bare_name, "got a bare name, which a request would fill"),
    (of_query_marker, "got int .*Query.*, which a request would fill"),
    (of_query_default, "got int.*, which a request would fill"),
    (of_header, "got str .*Header.*, which a request would fill, and there is none in a run: give it a default"),
    (of_cookie, "which a request would fill"),
    (of_path, "which a request would fill"),
    (of_body, "which a request would fill"),
    (of_security, "parameter 'request' of OAuth2PasswordBearer: expected what a run can be given, got .*: there is no request in a run"),
    (deep, "parameter 'request' of of_request"),
]  # fmt: skip


@pytest.mark.parametrize(("dependency", "message"), REFUSED, ids=[dependency.__name__ for dependency, _ in REFUSED])
def test_a_dependency_that_needs_a_request_is_refused_when_the_job_is_added(dependency: Any, message: str) -> None:
    def job(value: Any = Depends(dependency)) -> None: ...

    with pytest.raises(InvalidJobError, match=message):
        keep_arguments(job, [], {})


def wants_request(request: Request) -> None: ...
def has_query_default(limit: int = Query(10)) -> None: ...
def has_query_marker(limit: Annotated[int, Query(ge=1)] = 10) -> None: ...


def test_a_job_itself_can_want_no_request() -> None:
    with pytest.raises(InvalidJobError, match="parameter 'request' of wants_request: expected what a run can be given"):
        ManualScheduler().add_job(wants_request)
    with pytest.raises(InvalidJobError, match="parameter 'limit' of has_query_default: expected a plain default, got"):
        ManualScheduler().add_job(has_query_default)


def test_what_fastapi_says_of_an_argument_is_kept() -> None:
    """An endpoint can be a job, too: its query parameters are the job's arguments, with their limits."""
    assert keep_arguments(has_query_marker, [], {"limit": 5}) == ((), {"limit": 5})
    assert wants_of(has_query_marker).injector is None
    with pytest.raises(InvalidJobError, match="greater than or equal to 1"):
        keep_arguments(has_query_marker, [], {"limit": 0})


def goes_round(value: Annotated[None, Depends(lambda: None)]) -> None: ...
def goes_back(value: Annotated[None, Depends(goes_round)]) -> None: ...


def test_a_circle_is_refused_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(goes_round.__annotations__, "value", Annotated[None, Depends(goes_back)])

    with pytest.raises(InvalidJobError, match="got a circle: goes_back -> goes_round -> goes_back: break it open"):
        dependency_of(goes_back)


def depends_on_text(value: str = Depends("get_url")) -> None: ...  # type: ignore[arg-type]
def depends_on_nothing(value=Depends()) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("func", [depends_on_text, depends_on_nothing])
def test_what_cannot_be_called_cannot_be_depended_on(func: Any) -> None:
    with pytest.raises(
        InvalidJobError, match=r"expected a function or class to depend on, got .*Depends\(get_session\)"
    ):
        wishes_of(func)


def test_a_limit_that_fastapi_counts_over_requests_is_refused() -> None:
    limited = Depends(get_url)
    object.__setattr__(limited, "max_concurrency", 5)  # as newer versions of FastAPI have it

    def job(url: str = limited) -> None: ...

    with pytest.raises(InvalidJobError, match="expected a dependency without max_concurrency, got 5"):
        wishes_of(job)


def for_type_checkers(amount: Annotated[Decimal, Depends(get_url)]) -> None: ...


def test_an_annotation_that_only_type_checkers_can_read_hides_its_dependency_and_is_told() -> None:
    with pytest.raises(
        InvalidJobError, match="missing a required argument: 'amount'.*cannot be evaluated.*TYPE_CHECKING"
    ):
        keep_arguments(for_type_checkers, [], {})


def has_page() -> Response:
    return Response()


def shows_page(page: Annotated[Response, Depends(has_page)]) -> None: ...


def test_what_no_run_has_may_come_from_a_dependency() -> None:
    assert wishes_of(shows_page).keys() == {"page"}


def allowed(token: str = Security(get_url, scopes=["a"])) -> None: ...


def test_security_is_a_dependency_like_others() -> None:
    assert wishes_of(allowed).keys() == {"token"}
