-- The places that unfinished runs hold in pools: each is held once.
create table {{schema}}.places (
    instance text not null,
    -- A pool of jobs.json, or `limits`.
    pool text not null,
    -- From 0, below the limit of the pool when the place was given.
    number bigint not null check (number >= 0),
    -- The run that holds it.
    job text not null,
    primary key (instance, pool, number),
    -- One place in each pool; what a run holds is found by this, too.
    unique (instance, job, pool)
);

-- Runs that have places: the others, of which there may be many, cost nothing to end. An older job-chief writes none.
alter table {{schema}}.runs add column has_places boolean not null default false;

-- Whoever ends or deletes a run releases its places, also an older job-chief, and one whose role has no rights on them
-- yet: the function does it with the rights of the schema's owner, and nobody can make a trigger of their own from it.
create function {{schema}}.release_places() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $release_places$
begin
    delete from {{schema}}.places where instance = old.instance and job = old.job;
    return null;
end
$release_places$;

revoke all on function {{schema}}.release_places() from public;

create trigger runs_release_ended after update of ended_at on {{schema}}.runs
    for each row when (old.has_places and old.ended_at is null and new.ended_at is not null)
    execute function {{schema}}.release_places();

create trigger runs_release_deleted after delete on {{schema}}.runs
    for each row when (old.has_places and old.ended_at is null)
    execute function {{schema}}.release_places();
