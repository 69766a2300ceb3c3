-- Version 7. How far a node's clock was off, if too far for it to fire; and the name of the file that it keeps locked for as
-- long as its process lives.

alter table tickwork_nodes add column clock_error integer;
alter table tickwork_nodes add column lifeline text not null default '';
