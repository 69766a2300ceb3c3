-- Version 2. How far a node's clock was off, if too far for it to fire.

alter table tickwork_nodes add column clock_error bigint;
