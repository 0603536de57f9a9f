-- Who leads: the holder raises `renewals`, and whoever takes over raises `term`.
create table {{schema}}.leadership (
    instance text primary key,
    holder text,
    term bigint not null,
    renewals bigint not null default 0,
    -- Raised with each change of the switches, so that whoever renews learns of it.
    switched bigint not null default 0
);

-- The processes of an Instance.
create table {{schema}}.members (
    instance text not null,
    member text not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    primary key (instance, member)
);

-- What people said of a JobConfig; the empty name is all of them.
create table {{schema}}.switches (
    instance text not null,
    job_config text not null,
    -- Null where nobody has said anything.
    paused boolean,
    -- What jobs.json said then: what a person says counts until that changes.
    file_paused boolean not null default false,
    who text,
    why text,
    said_at timestamptz,
    -- Jobs that were asked for by hand, and how many of them are on record as runs.
    run_asked bigint not null default 0,
    run_served bigint not null default 0,
    primary key (instance, job_config)
);

-- Which of the Jobs that were asked for by hand a run is: none is served twice.
alter table {{schema}}.runs add column serves bigint;
create unique index runs_serves on {{schema}}.runs (instance, job_config, serves) where serves is not null;
