-- Version 2. How far a node's clock was off, if too far for it to fire; and the start of the server on which a session of
-- the node holds a lock for as long as its process lives.

alter table tickwork_nodes add column clock_error bigint;
alter table tickwork_nodes add column lifeline text collate "C" not null default '';
