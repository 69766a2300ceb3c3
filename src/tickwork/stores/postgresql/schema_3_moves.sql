-- Version 3. What is noted of a move from this store to another, or from another to here: one row, which is always there,
-- so that it can be locked. Without a move its state is null.

create table tickwork_moves (
    place       integer primary key check (place = 1),
    id          text collate "C",
    state       text collate "C",
    other       text collate "C",
    since       bigint,
    mover       text collate "C",
    lease_until bigint
);

insert into tickwork_moves (place) values (1);
