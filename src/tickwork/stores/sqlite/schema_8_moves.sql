-- Version 8. What is noted of a move from this store to another, or from another to here: one row, or none.

create table tickwork_moves (
    place       integer primary key check (place = 1),
    id          text not null,
    state       text not null,
    other       text not null,
    since       integer not null,
    mover       text not null,
    lease_until integer not null
);
