"""The statements of the SQLite store, whole."""

from __future__ import annotations

RECORD = "id, user, created_at, seen_at, expires_at, ends_at, messages, bytes"

INSERT = """
    insert into tickwork_sessions (name, id, user, created_at, seen_at, expires_at, ends_at)
    values (:name, :id, :user, :now, :now, :expires, :ends)
"""
SELECT = f"""
    select {RECORD} from tickwork_sessions
    where id = :id and name = :name and expires_at > :now
"""
TOUCH = """
    update tickwork_sessions
    set seen_at = :now, expires_at = min(:idle_end, ends_at)
    where id = :id and name = :name and expires_at > :now
"""
ROTATE = """
    update tickwork_sessions
    set id = :new_id, seen_at = :now, expires_at = min(:idle_end, ends_at)
    where id = :id and name = :name and expires_at > :now
"""
LOG_IN = """
    update tickwork_sessions
    set id = :new_id, user = :user, created_at = :now, seen_at = :now, expires_at = :expires, ends_at = :ends
    where id = :id and name = :name and expires_at > :now and (user is null or user = :user)
"""
DESTROY = """
    delete from tickwork_sessions where id = :id and name = :name
"""
COUNT_USER = """
    select count(*) from tickwork_sessions
    where name = :name and user = :user and id is not :but and expires_at > :now
"""
DESTROY_USER = """
    delete from tickwork_sessions
    where name = :name and user = :user and id is not :but
"""
SELECT_USER = f"""
    select {RECORD} from tickwork_sessions
    where name = :name and user = :user and expires_at > :now
    order by seen_at desc
"""
SELECT_ALL = f"""
    select {RECORD} from tickwork_sessions
    where name = :name and expires_at > :now
    order by expires_at desc limit :limit offset :offset
"""
COUNT = """
    select count(*) from tickwork_sessions where name = :name and expires_at > :now
"""
SWEEP = """
    delete from tickwork_sessions where number in (
        select number from tickwork_sessions
        where name = :name and expires_at <= :now order by expires_at limit :limit
    )
"""

# history

SELECT_ROOM = """
    select number, last, turn, messages, bytes from tickwork_sessions
    where id = ? and name = ? and expires_at > ?
"""
INSERT_MESSAGE = """
    insert into tickwork_session_messages (session, number, turn, body) values (?, ?, ?, ?)
"""
SELECT_TURNS = """
    select turn, length(body) from tickwork_session_messages
    where session = ? and turn > 0 order by number
"""
DELETE_TURNS = """
    delete from tickwork_session_messages
    where session = ? and number < ? and turn > 0
"""
UPDATE_ROOM = """
    update tickwork_sessions set last = ?, turn = ?, messages = ?, bytes = ? where number = ?
"""
SELECT_NUMBER = """
    select number from tickwork_sessions where id = :id and name = :name and expires_at > :now
"""
SELECT_HISTORY = """
    select number, body from tickwork_session_messages
    where session = :session and (turn = 0 or number >= coalesce((
        select number from tickwork_session_messages
        where session = :session and turn > 0 order by number desc limit 1 offset :last - 1
    ), 0))
    order by number
"""

# state

SELECT_STATE = """
    select key, value from tickwork_session_state where session = ?
"""
SELECT_VALUE = """
    select value from tickwork_session_state where session = ? and key = ?
"""
COUNT_OTHER_KEYS = """
    select count(*) from tickwork_session_state where session = ? and key <> ?
"""
UPSERT_VALUE = """
    insert into tickwork_session_state (session, key, value) values (?, ?, ?)
    on conflict (session, key) do update set value = excluded.value
"""
DELETE_VALUE = """
    delete from tickwork_session_state where session = ? and key = ?
"""

# cache

SELECT_CACHED = """
    select value from tickwork_cache where name = :name and key = :key and expires_at > :now
"""
UPSERT_CACHED = """
    insert into tickwork_cache (name, key, value, expires_at) values (:name, :key, :value, :expires)
    on conflict (name, key) do update set value = excluded.value, expires_at = excluded.expires_at
"""
DELETE_CACHED = """
    delete from tickwork_cache where name = :name and key = :key
"""
SWEEP_CACHED = """
    delete from tickwork_cache where number in (
        select number from tickwork_cache
        where name = :name and expires_at <= :now order by expires_at limit :limit
    )
"""
SELECT_LEASE = """
    select lease_until from tickwork_cache_leases where name = :name and key = :key and lease_until > :now
"""
TAKE_LEASE = """
    insert into tickwork_cache_leases (name, key, owner, lease_until) values (:name, :key, :owner, :until)
    on conflict (name, key) do update set owner = excluded.owner, lease_until = excluded.lease_until
    where lease_until <= :now
"""
GIVE_LEASE_BACK = """
    delete from tickwork_cache_leases where name = :name and key = :key and owner = :owner
"""
REVOKE_LEASE = """
    delete from tickwork_cache_leases where name = :name and key = :key
"""
SWEEP_LEASES = """
    delete from tickwork_cache_leases where name = :name and lease_until <= :now
"""
