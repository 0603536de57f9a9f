-- Jobs that run once beside the replicas of a service: what each is for. Null: a replica, or messages.
alter table {{schema}}.runs
    add column purpose text,
    add column action text;

-- What people asked for by hand is served once: runs of queues, and each action of a service by itself.
drop index {{schema}}.runs_serves;
create unique index runs_serves on {{schema}}.runs (instance, job_config, coalesce(action, ''), serves) where serves is not null;

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
