"""Sources: what files, pages and rows become, and what a bad day of theirs does not."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tickwork.documents import (
    Doc,
    Folder,
    InvalidDocumentError,
    Same,
    SourceUnavailableError,
    SQLQuery,
    Unreadable,
    Website,
)
from tickwork.documents.sources.html import decoded, markdown_of


def listed(source: Any, versions: dict[str, str] | None = None) -> dict[str, Any]:
    return {one.id: one for one in source(versions or {})}


def pdf(text: str, pages: int = 1) -> bytes:
    """Pages with one line, each the same object."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (b"3 0 R " * pages, pages),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream), b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]  # fmt: skip
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )


# files


def test_files_are_read_by_their_endings(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One")
    (tmp_path / "b.html").write_text("<title>Two</title><p>second")
    (tmp_path / "c.PDF").write_bytes(pdf("third page"))
    (tmp_path / "d.csv").write_text("x;y")

    found = listed(Folder(tmp_path, "*.*", readers={".csv": lambda path: path.read_text().replace(";", " and ")}))

    assert {id: doc.text for id, doc in found.items()} == {
        "a.md": "# One", "b.html": "# Two\n\nsecond", "c.PDF": "third page", "d.csv": "x and y",
    }  # fmt: skip


def test_a_file_that_did_not_change_is_not_read_again_unless_by_another_reader(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One")
    versions = {id: doc.version for id, doc in listed(Folder(tmp_path)).items()}

    assert listed(Folder(tmp_path), versions) == {"a.md": Same("a.md")}
    assert isinstance(listed(Folder(tmp_path, readers={".md": lambda path: "another"}), versions)["a.md"], Doc)


def raises(path: Path) -> str:
    raise RecursionError("too deep")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"\xff\xfe\x00binary", "UnicodeDecodeError"), ("a.md", b"a\0b", "binary data"),
        ("a.pdf", b"no pdf", "Error"), ("a.pdf", pdf(""), "recognise their letters"), ("a.pdf", pdf("x" * 900_000, pages=60), "at most 50,000,000 characters"), ("a.html", b"\xff\xff", "UnicodeDecodeError"),
        ("a.bad", b"", "RecursionError: too deep"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)

    one = listed(Folder(tmp_path, "*", readers={".bad": raises}))[name]

    assert isinstance(one, Unreadable)
    assert reason in one.reason


def test_a_file_outside_of_the_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "link.md").symlink_to(tmp_path / "secret.md")

    assert listed(Folder(tmp_path / "pages")) == {}


def test_a_name_that_no_database_takes_is_written_out(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md")).write_text("# One")

    (doc,) = listed(Folder(tmp_path)).values()

    assert (doc.id, doc.text, doc.uri) == ("\\udcff.md", "# One", f"{tmp_path}/\\udcff.md")


def test_a_path_that_is_longer_than_an_id_is_cut_and_stays_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(9):
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    for name in ("a.md", "b.md"):
        Path(name).write_text("# One")

    found = listed(Folder(tmp_path))

    assert [len(id) for id in found] == [2_000, 2_000]
    assert all(isinstance(doc, Doc) for doc in found.values())


@pytest.fixture
def partly_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder with one in it that cannot be read, and one that can."""
    if sys.platform == "win32":
        pytest.skip("rights are other ones there")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.md").write_text("# A")
    (tmp_path / "closed").mkdir(mode=0o000)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    listed(Folder("open"))  # imports what it takes, which nobody else may be able to
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65_534)
    yield "."
    os.seteuid(user)


@pytest.mark.parametrize("pattern", ["**/*.md", "*/*.md", "cl*/**/*.md", "*/a/*.md"])
def test_a_folder_that_cannot_be_read_deletes_nothing(partly_closed: str, pattern: str) -> None:
    """`glob` passes over it, as if it were empty."""
    with pytest.raises(SourceUnavailableError, match="expected to read all of"):
        listed(Folder(partly_closed, pattern))


@pytest.mark.parametrize("pattern", ["*.md", "open/*.md", "open/**/*.md", "o*/*"])
def test_a_folder_that_the_pattern_does_not_lead_to_need_not_be_readable(partly_closed: str, pattern: str) -> None:
    """Such as `lost+found`, where a disk begins."""
    found = listed(Folder(partly_closed, pattern))

    assert [*found] == ([] if pattern == "*.md" else ["open/a.md"])
    assert all(isinstance(one, Doc) for one in found.values())


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="create it"):
        listed(Folder(tmp_path / "none"))


@pytest.mark.parametrize(
    "given",
    [
        {"folder": 3},
        {"pattern": ""},
        {"pattern": "/etc/*"},
        {"pattern": "../*"},
        {"pattern": "**x"},
        {"readers": {"md": str}},
        {"readers": {".md": "x"}},
    ],
)
def test_a_folder_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        Folder(**{"folder": ".", **given})


# pages


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>A &amp; B</h1><p>one\n two<br>three", "# A & B\n\none two\n\nthree"),
        ("<title>T</title><h2>Part</h2>text", "# T\n\n## Part\n\ntext"),
        ("<ul><li>one<li>two</ul>", "- one\n\n- two"),
        ("<pre>a\n  b</pre>", "```\na\n  b\n```"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n\n1 | 2"),
        ("<nav>menu</nav><script>x()</script><style>p{}</style>text<footer>foot</footer>", "text"),
        ("<div>around</div><main><p>page</main><div>around</div>", "page"),
        ("<nav>never closed <p>menu</body>", ""),
        ("<p># no heading</p>", "\\# no heading"),
        ("", ""),
        ("<p><b>bold</b> and <a href=x>link</a>", "bold and link"),
        ("<<<>&#x110000;&nbsp;", "<<<>\ufffd"),
        ("text of R&D" + "!" * 20_000 + "&D", "text of R&D" + "!" * 20_000 + "&D"),
    ],
)
def test_html_becomes_markdown(html: str, markdown: str) -> None:
    assert markdown_of(html) == markdown


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["<nav>", "<div>", "<a ", "</", "<!--", "<!", "<?", "<![CDATA[", "<a b='", "<a =' >", "<title></", "<script></script ", "&#", "<a b="]
)  # fmt: skip
def test_a_page_that_was_made_to_take_long_does_not(piece: str) -> None:
    """Python's parser looks through all that is left for each tag that could begin there."""
    markdown_of(f"<p>text{piece * 300_000}")
    markdown_of(f"<nav>{piece * 300_000}{'</aside>' * 100_000}")


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "undefined", "base64"])
def test_no_page_is_written_in_what_is_no_encoding_of_pages(charset: str) -> None:
    page = f"<meta charset={charset}>-".encode() + b"a" * 1_000_000

    assert decoded(page) == page.decode()


@pytest.mark.parametrize(
    ("page", "charset"),
    [
        ("한국어".encode(), None), ("한국어".encode("euc-kr"), "euc-kr"), (b"<meta charset='euc-kr'>" + "한국어".encode("euc-kr"), None),
        (b"\xef\xbb\xbf" + "한국어".encode(), "ascii"), ("한국어".encode(), "no-such-charset"),
    ],
)  # fmt: skip
def test_a_page_is_decoded_as_it_says(page: bytes, charset: str | None) -> None:
    assert decoded(page, charset).endswith("한국어")


class Site:
    """A web server: what is at each path is a body, or a status with headers and a body."""

    def __init__(self) -> None:
        self.at: dict[str, Any] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                found = site.at.get(self.path, (404, {}, b""))
                status, headers, body = found if isinstance(found, tuple) else (200, {}, found)
                if headers.get("ETag") is not None and self.headers.get("If-None-Match") == headers["ETag"]:
                    status, body = 304, b""
                self.send_response(status)
                length = {} if callable(body) else {"Content-Length": str(len(body))}
                for name, value in {"Content-Type": "text/html", **length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):  # who asked has enough
                    body(self.wfile.write) if callable(body) else self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                """A test is quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def sitemap(self, paths: Iterable[str], kind: str = "urlset") -> bytes:
        return f"<{kind}>{''.join(f'<url><loc>{self.url}{path}</loc></url>' for path in paths)}</{kind}>".encode()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.http.shutdown()
    site.http.server_close()


def test_a_site_is_read_by_its_sitemaps(site: Site) -> None:
    site.at = {
        "/sitemap.xml": site.sitemap(["/one.xml", "/two.xml.gz"], "sitemapindex"), "/one.xml": site.sitemap(["/a", "/b?x=1&amp;y=2"]),
        "/two.xml.gz": gzip.compress(site.sitemap(["/a#part", "/c"])), "/a": b"<p>first", "/b?x=1&y=2": b"<p>second",
        "/c": (200, {"Content-Type": "application/pdf"}, pdf("third")),
    }  # fmt: skip

    found = listed(Website(f"{site.url}/sitemap.xml"))

    assert {id.removeprefix(site.url): doc.text for id, doc in found.items()} == {
        "/a": "first", "/b?x=1&y=2": "second", "/c": "third",
    }  # fmt: skip


def test_a_page_with_the_same_etag_is_not_sent_again(site: Site) -> None:
    site.at["/a"] = (200, {"ETag": '"1"'}, b"<p>first")
    website = Website(pages=[f"{site.url}/a"])
    versions = {id: doc.version for id, doc in listed(website).items()}

    assert listed(website, versions) == {f"{site.url}/a": Same(f"{site.url}/a")}
    site.at["/a"] = (200, {"ETag": '"2"'}, b"<p>second")
    assert listed(website, versions)[f"{site.url}/a"].text == "second"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}, b""), "HTTP status 500"), ((200, {"Content-Type": "image/png"}, b""), "got image/png"),
        ((302, {"Location": "http://localhost:1/"}, b""), "leads to localhost:1"), ((302, {"Location": "/a"}, b""), "redirects"),
        ((200, {}, b"\xff\xff"), "UnicodeDecodeError"), ((200, {"Content-Encoding": "gzip"}, b"no gzip"), "DecodingError"),
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_read_says_why(site: Site, answer: object, reason: str) -> None:
    site.at["/a"] = answer

    (one,) = listed(Website(pages=[f"{site.url}/a"])).values()

    assert isinstance(one, Unreadable)
    assert reason in one.reason


def test_a_page_that_is_too_large_is_not_read_to_its_end(site: Site) -> None:
    site.at["/a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 30_000_000))

    (one,) = listed(Website(pages=[f"{site.url}/a"])).values()

    assert "more than 20,000,000 bytes" in one.reason


def test_a_page_that_is_not_there_is_gone_and_strangers_are_left_out(site: Site) -> None:
    site.at["/sitemap.xml"] = site.sitemap(["/gone"]) + b"<loc>http://169.254.169.254/secret</loc>"

    assert listed(Website(f"{site.url}/sitemap.xml")) == {}
    assert site.asked == ["/sitemap.xml", "/gone"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", [b"<loc>", b"<loc>" + b" " * 500, b"<loc><![CDATA[", b"<loc>x", b" "])
def test_a_sitemap_that_was_made_to_take_long_does_not(site: Site, piece: bytes) -> None:
    site.at["/sitemap.xml"] = b"<urlset><loc>" + piece * (3_000_000 // len(piece))

    assert listed(Website(f"{site.url}/sitemap.xml")) == {}


def test_an_address_may_be_written_in_any_way(site: Site) -> None:
    site.at |= {"/a": b"a", "/b?x=1&y=2": b"b", "/c": b"c"}
    site.at["/sitemap.xml"] = (
        f"<urlset><loc>\n {site.url}/a\n</loc><loc><![CDATA[ {site.url}/b?x=1&y=2 ]]></loc><LOC>{site.url}/c</LOC>"
    ).encode()

    assert [id.removeprefix(site.url) for id in listed(Website(f"{site.url}/sitemap.xml"))] == [
        "/a",
        "/b?x=1&y=2",
        "/c",
    ]


def test_an_address_that_is_longer_than_an_id_stops_no_other(site: Site) -> None:
    far = "/" + "x" * 3_000
    site.at |= {far: b"far", "/a": b"a", "/sitemap.xml": site.sitemap([far, "/a"])}

    (long, short) = listed(Website(f"{site.url}/sitemap.xml")).values()

    assert (type(long), short.text) == (Unreadable, "a")


def test_a_page_that_comes_drop_by_drop_is_given_up(site: Site) -> None:
    def drops(send: Any) -> None:
        while True:
            send(b"x")
            time.sleep(0.01)

    site.at["/a"] = (200, {"Content-Length": "1000000"}, drops)

    (one,) = listed(Website(pages=[f"{site.url}/a"], timeout=0.1)).values()

    assert "longer than 1 s" in one.reason


@pytest.mark.parametrize("sitemap", [(500, {}, b""), b"<html>", (302, {"Location": "http://localhost:1/"}, b"")])
def test_a_sitemap_that_cannot_be_read_makes_the_site_unavailable(site: Site, sitemap: object) -> None:
    site.at["/sitemap.xml"] = sitemap

    with pytest.raises(SourceUnavailableError, match="expected"):
        listed(Website(f"{site.url}/sitemap.xml"))


def test_more_pages_than_expected_delete_nothing(site: Site) -> None:
    site.at["/sitemap.xml"] = site.sitemap([f"/{n}" for n in range(5)])

    with pytest.raises(SourceUnavailableError, match="raise most="):
        listed(Website(f"{site.url}/sitemap.xml", most=4))


@pytest.mark.parametrize(
    "given",
    [{}, {"sitemap": "ftp://x/"}, {"pages": "https://x/"}, {"pages": ["https://x/", "https://y/"]}, {"sitemap": "https://x/", "most": 0},
     {"sitemap": "https://x/", "timeout": -1}, {"pages": [3]}],
)  # fmt: skip
def test_a_site_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        Website(**given)


# rows


def rows_of(query: SQLQuery) -> dict[str, Any]:
    return {one.id: one for one in query()}


@pytest.fixture(params=["sqlite", "postgresql"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        return lambda: sqlite3.connect(tmp_path / "faq.db")
    url = request.getfixturevalue("postgresql_database")
    return lambda: psycopg.connect(url, autocommit=True)


def test_rows_are_documents(connect: Any) -> None:
    with closing(connect()) as connection:
        connection.execute("drop table if exists faq")
        connection.execute("create table faq (id integer, body text, lang text, changed timestamp, link text)")
        connection.execute(
            "insert into faq values (1, 'one', 'en', '2026-01-02 03:04:05', 'https://x/1'), (2, null, 'ko', null, null)"
        )
        connection.commit()
    query = SQLQuery(
        connect, "select id, body as text, lang, changed, link from faq", uri="link", modified="changed", meta=["lang"]
    )

    found = rows_of(query)

    assert found["1"] == Doc(
        "1", "one", uri="https://x/1", modified=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), meta={"lang": "en"}
    )
    assert "got null" in found["2"].reason
    with closing(connect()) as connection:
        connection.execute("drop table faq")
        connection.commit()
    with pytest.raises(SourceUnavailableError, match="faq"):
        rows_of(query)


def test_rows_without_an_id_or_with_one_that_cannot_be_stop_no_other() -> None:
    rows = [(None, "none"), ("x" * 3_000, "long"), ("a\0b", "binary"), ("a", "fine")]
    statement = " union all ".join(["select ? as id, ? as text"] * len(rows))

    class Bound(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = ()) -> Any:
            return super().execute(sql, [value for row in rows for value in row])

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Bound) -> Any:
            return super().cursor(Bound)

    found = [*SQLQuery(lambda: sqlite3.connect(":memory:", factory=Connection), statement)()]

    assert [type(one) for one in found] == [Unreadable, Unreadable, Unreadable, Doc]
    assert len({one.id for one in found}) == 4


def test_a_query_without_a_column_that_is_needed_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="expected the columns id, text, got id: name text"):
        rows_of(SQLQuery(lambda: sqlite3.connect(":memory:"), "select 1 as id"))


@pytest.mark.parametrize("given", [{"connect": "x"}, {"statement": " "}, {"meta": "lang"}])
def test_a_query_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="expected"):
        SQLQuery(**{"connect": lambda: None, "statement": "select 1", **given})


# what is not installed


@pytest.mark.parametrize("made", ["Website('https://example.com/sitemap.xml')", "OpenAIEmbedder('small')"])
def test_what_needs_httpx_says_how_to_get_it_when_it_is_made(made: str) -> None:
    code = "import sys; sys.modules['httpx'] = None; from tickwork.documents import OpenAIEmbedder, Website; "

    done = subprocess.run([sys.executable, "-c", code + made], check=False, capture_output=True, text=True)

    name = made.partition("(")[0]
    said = f"{name}: expected the package httpx, got none: pip install 'tickwork[documents]'"
    assert done.stderr.splitlines()[-1] == f"tickwork.documents.errors.InvalidDocumentError: {said}"
