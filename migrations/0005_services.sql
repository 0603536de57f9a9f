-- Runs of services, beside those of queues.
alter table {{schema}}.runs
    add column type text not null default 'queue',
    -- How often the service had been started by hand when this replica of it was.
    add column starts bigint;

-- What people said of services.
alter table {{schema}}.switches
    -- Null where nobody has said anything, or jobs.json has said another thing since.
    add column enabled boolean,
    -- What jobs.json said then.
    add column file_enabled boolean not null default true,
    add column stopped boolean not null default false,
    -- Pods are to end without any grace.
    add column halted boolean not null default false,
    -- How often somebody said start or restart, and before which of these a replica was started that is to start anew.
    add column starts bigint not null default 0,
    add column restart_before bigint not null default 0,
    -- The last verb, and who said it when and why.
    add column verb text,
    add column verb_who text,
    add column verb_why text,
    add column verb_at timestamptz;
