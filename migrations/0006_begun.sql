-- When the oldest message that a run was decided for could be fetched, by the clock of whoever decided: where its trace
-- begins, also for whoever takes over.
alter table {{schema}}.runs add column begun_at timestamptz;
