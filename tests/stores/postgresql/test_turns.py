"""Beats take turns, so that who retires a job under its beat is not looking past one that comes."""

from __future__ import annotations

from contextlib import closing
from threading import Thread

import psycopg
from tests.samples import make_node

from tickwork.stores.postgresql import PostgreSQLStore

WAITS = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"


def test_a_beat_waits_for_the_commit_of_the_one_before_it(postgresql_url: str) -> None:
    with closing(PostgreSQLStore(postgresql_url)) as store, closing(PostgreSQLStore(postgresql_url)) as other:
        store.open()
        other.open()
        second = Thread(target=other.beat, args=(make_node("second"),))
        with psycopg.connect(postgresql_url.partition("?")[0], autocommit=True) as observer:
            with store.together():
                store.beat(make_node("first"))
                second.start()
                while second.is_alive() and observer.execute(WAITS).fetchone() != (True,):
                    pass
                waited = second.is_alive()
            second.join()

        assert waited
        assert {node.id for node in store.nodes()} == {"first", "second"}
