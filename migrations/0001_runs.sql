-- Each Job from wish to end. {{schema}} is replaced by db.managerSchema, quoted.
create table {{schema}}.runs (
    id bigint generated always as identity primary key,
    instance text not null,
    job_config text not null,
    slot bigint not null,
    -- The name of the Job: it serves one wish only.
    job text not null,
    uid text,
    config_hash text not null,
    -- The decision with its inputs.
    decision jsonb not null,
    adopted boolean not null default false,
    wished_at timestamptz not null default now(),
    ended_at timestamptz,
    outcome text,
    reason text,
    exit_code integer,
    message text,
    check ((ended_at is null) = (outcome is null) and (outcome is null) = (reason is null)),
    unique (instance, job)
);

-- One unfinished run per slot.
create unique index runs_slot on {{schema}}.runs (instance, job_config, slot) where ended_at is null;

-- The last runs of a JobConfig.
create index runs_ended on {{schema}}.runs (instance, job_config, ended_at desc) where ended_at is not null;
