-- Modules that are deployed: what people want of each, raised in `revision` by whatever they write.
create table {{schema}}.deployments (
    instance text not null,
    name text not null,
    module text not null,
    version text not null,
    config jsonb not null,
    -- The hash of what the module made of the config.
    rendered_hash text not null,
    -- Fields that others own are taken over, and objects that others made.
    force boolean not null default false,
    -- What is changed by hand is put back at once.
    reconcile boolean not null default false,
    revision bigint not null,
    -- It is to go, with all that it owns.
    gone boolean not null default false,
    -- The PersistentVolumeClaims that go, too.
    volumes text[] not null default '{}',
    who text not null,
    why text not null,
    written_at timestamptz not null default now(),
    primary key (instance, name)
);

-- The objects of deployments, each with what is wanted of it and what was last done about it.
create table {{schema}}.deployment_objects (
    instance text not null,
    deployment text not null,
    kind text not null,
    name text not null,
    -- In the order in which they are applied.
    position integer not null,
    dependency boolean not null,
    body jsonb not null,
    hash text not null,
    -- The module's file and the line in it.
    file text not null,
    line integer not null,
    -- The deployment's revision that spoke of it last, and whether that wants it.
    revision bigint not null,
    wanted boolean not null default true,
    state text not null default 'waiting',
    result text,
    message text,
    -- A request was sent and its answer is not on record: it may still arrive.
    asked_at timestamptz,
    -- What is in the cluster as far as is known, or in force if it is a JobConfig.
    applied_hash text,
    applied_body jsonb,
    uid text,
    -- A Job that has come to its end does not have to be there any more.
    completed boolean not null default false,
    changed_at timestamptz not null default now(),
    primary key (instance, deployment, kind, name),
    foreign key (instance, deployment) references {{schema}}.deployments (instance, name) on delete cascade
);

-- No two deployments own one object.
create unique index deployment_objects_owner on {{schema}}.deployment_objects (instance, kind, name);

-- Raised with each change of what is deployed or in force, so that whoever renews learns of it.
alter table {{schema}}.leadership add column deployed bigint not null default 0;
