-- When the first pod of a run started, and the mark on a success that took none of its messages.
alter table {{schema}}.runs
    add column started_at timestamptz,
    add column took_nothing boolean not null default false;

-- The unfinished runs of all JobConfigs: those of which one has left jobs.json, too.
create index runs_unfinished on {{schema}}.runs (instance) where ended_at is null;

-- Decisions that created something, or whose reason was another than the last one's.
create table {{schema}}.decisions (
    id bigint generated always as identity primary key,
    instance text not null,
    job_config text not null,
    decided_at timestamptz not null,
    why text not null,
    -- The decision with its inputs.
    decision jsonb not null
);

create index decisions_newest on {{schema}}.decisions (instance, job_config, decided_at desc);
