-- Jobs that run once beside the replicas of a service: what each is for. Null: a replica, or messages.
alter table {{schema}}.runs
    add column purpose text,
    add column action text,
    -- Which of those that were asked for by hand it is: none is served twice.
    add column action_number bigint;

create unique index runs_action_number on {{schema}}.runs (instance, job_config, action, action_number)
    where action_number is not null;

-- Actions of services: how often each was asked for by hand, how many of these are on record as runs, when it began last.
create table {{schema}}.actions (
    instance text not null,
    job_config text not null,
    action text not null,
    asked bigint not null default 0,
    served bigint not null default 0,
    who text,
    why text,
    asked_at timestamptz,
    begun_at timestamptz,
    primary key (instance, job_config, action)
);
