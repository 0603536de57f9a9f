-- Who asked last for a Job by hand, when, and why.
alter table {{schema}}.switches
    add column run_who text,
    add column run_why text,
    add column run_asked_at timestamptz;
