//! What stands below the help of each command: examples, and what its exit codes mean where they mean more than usual.

/// Below the help of all.
pub(super) const ROOT: &str = "\
Examples:
  job-chief validate                                 check what you wrote
  job-chief plan new.json                            what would change
  job-chief --context prod -n media status --watch   ask the one in a cluster
  job-chief --context prod -n media why mail         why Jobs start or do not

Exit codes:
  0  done
  1  it failed, or what was asked about is not well: `validate` found problems,
     a service that should run does not, Jobs outlived `drain`
  2  bad arguments, or a configuration that nothing can be started with

Variables: JOB_CHIEF_CONFIG, JOB_CHIEF_URL, JOB_CHIEF_TOKEN, KUBECONFIG, USER,
NO_COLOR, and those of the settings. As `kubectl-job_chief` on the PATH it is
`kubectl job-chief`.";

pub(super) const RUN: &str = "\
Examples:
  job-chief run --config settings.toml          in a cluster, as its Deployment
  job-chief run --context kind-dev -n media     from outside, for a try

Exit codes: 0 ended by a signal; 1 the server can't listen, or trying again
would not help; 2 bad configuration, nothing was started.";

pub(super) const VALIDATE: &str = "\
Examples:
  job-chief validate
  APP_JOBS_CONFIG_PATH=new.json job-chief validate -o json

Exit codes: 0 no problems (warnings may be there); 1 problems; 2 bad arguments.";

pub(super) const RENDER: &str = "\
Examples:
  job-chief render mail
  job-chief render mail | kubectl apply --dry-run=server -f -
  job-chief render redis@latest --set name=cache --set 'args=[\"--save\", \"\"]'
  job-chief render worker --values worker.yaml -o json";

pub(super) const DEPLOY: &str = "\
Examples:
  job-chief deploy redis --set name=cache --dry-run
  job-chief deploy redis --set name=cache --wait --why 'the new shop'
  job-chief deploy worker@2 --name mails --values worker.yaml --wait

Exit codes: 0 done, or written down without --wait; 1 refused, an object is in
error, or --timeout is over; 2 bad arguments.";

pub(super) const DEPLOYMENTS: &str = "\
Examples:
  job-chief deployments
  job-chief deployments cache -o yaml
  job-chief --context prod -n media deployments cache --watch

Exit codes: 0 none has failed; 1 one has, or no answer; 2 bad arguments.";

pub(super) const UNDEPLOY: &str = "\
Examples:
  job-chief undeploy cache --wait
  job-chief undeploy shop --volume shop-data --why 'it has moved'

Exit codes: 0 nothing is left, or written down without --wait; 1 refused, an
object is in error, or --timeout is over; 2 bad arguments.";

pub(super) const MODULES: &str = "\
Examples:
  job-chief modules
  job-chief modules redis
  MODULES_PATH=config/modules job-chief modules redis@latest -o json";

pub(super) const STATUS: &str = "\
Examples:
  job-chief status
  job-chief status mail
  job-chief --context prod -n media status --watch --interval 5s
  job-chief status -o json | jq '.jobs[] | select(.paused) | .name'";

pub(super) const WHY: &str = "\
Examples:
  job-chief why mail
  job-chief why redis
  job-chief --context prod -n media why mail";

pub(super) const POOLS: &str = "\
Examples:
  job-chief pools
  job-chief --context prod -n media pools --watch
  job-chief pools -o json | jq '.pools[] | select(.waiting > 0)'";

pub(super) const PAUSE: &str = "\
Examples:
  job-chief pause mail --why 'the provider is down' --token-file token
  JOB_CHIEF_TOKEN=… job-chief --context prod -n media pause --all";

pub(super) const RESUME: &str = "\
Examples:
  job-chief resume mail --token-file token
  job-chief resume --all --why 'the provider is back'";

pub(super) const DRAIN: &str = "\
Examples:
  job-chief drain mail --timeout 10m && ./migrate-the-table
  job-chief drain --all --why 'an upgrade of the nodes'

Exit codes: 0 nothing lives any more; 1 Jobs still live after --timeout, and
what was paused stays so; 2 bad arguments.";

pub(super) const RUN_NOW: &str = "\
Examples:
  job-chief run-now mail --why 'after the fix' --token-file token";

pub(super) const SERVICE: &str = "\
Examples:
  job-chief service status
  job-chief service restart api --why 'new certificate'";

pub(super) const SERVICE_STATUS: &str = "\
Examples:
  job-chief service status
  job-chief service status redis -o yaml
  job-chief --context prod -n media service status --watch

Exit codes: 0 all that should run do; 1 one does not, or no answer; 2 bad
arguments.";

pub(super) const SERVICE_START: &str = "\
Examples:
  job-chief service start api              with what it depends on
  job-chief service start api --no-deps";

pub(super) const SERVICE_STOP: &str = "\
Examples:
  job-chief service stop api worker --why 'maintenance'
  job-chief service stop redis --deps      with what depends on it";

pub(super) const SERVICE_RESTART: &str = "\
Examples:
  job-chief service restart api --why 'new certificate'";

pub(super) const SERVICE_HALT: &str = "\
Examples:
  job-chief service halt api --why 'it ignores SIGTERM'";

pub(super) const SERVICE_ENABLE: &str = "\
Examples:
  job-chief service enable api --deps      with what it depends on";

pub(super) const SERVICE_DISABLE: &str = "\
Examples:
  job-chief service disable api --deps     with what depends on it";

pub(super) const SERVICE_ACTION: &str = "\
Examples:
  job-chief service action redis backup --why \"before the upgrade\"";

pub(super) const PLAN: &str = "\
Examples:
  job-chief plan new.json
  job-chief plan new.json -o json | jq .removed
  job-chief --context prod -n media plan new.json --forecast --last 3d";

pub(super) const FORECAST: &str = "\
Examples:
  job-chief forecast
  job-chief forecast mail --set maxConcurrentJobs=8 --last 3d
  job-chief forecast --set mail.queueCheckInterval=2s --set pools.gpu.jobs=6
  job-chief --context prod -n media forecast mail -o json | jq .total.verdict

Exit codes: 0 told, also where it says not to rely on it; 1 refused, or no
answer; 2 bad arguments.";

pub(super) const IMPORT: &str = "\
Examples:
  kubectl get scaledjobs -o yaml > keda.yaml && job-chief import keda.yaml
  job-chief import old/jobs.json old/.env > jobs.json

Remarks and failures go to standard error, jobs.json to standard output; with
--output json or yaml all of it is one value.

Exit codes: 0 all imported; 1 something could not be, or has to be mended before
`validate` passes; 2 bad arguments.";

pub(super) const SCHEMA: &str = "\
Examples:
  job-chief schema > jobs.schema.json     for an editor, named by \"$schema\"";

pub(super) const MIGRATE: &str = "\
Examples:
  DATABASE_URL=postgres://owner:…@postgres/work job-chief migrate";

pub(super) const GRANTS: &str = "\
Examples:
  job-chief grants job_chief | psql \"$OWNER_URL\"
  DB_SCHEMA=boss job-chief grants job_chief";

pub(super) const RBAC: &str = "\
Examples:
  job-chief rbac | kubectl apply -n media -f -";

pub(super) const COMPLETIONS: &str = "\
Examples:
  source <(job-chief completions bash)        in ~/.bashrc
  job-chief completions zsh > \"${fpath[1]}/_job-chief\"
  job-chief completions fish > ~/.config/fish/completions/job-chief.fish";

pub(super) const DOCTOR: &str = "\
Examples:
  job-chief doctor --context prod -n media
  kubectl exec deploy/job-chief -- job-chief doctor

Exit codes: 0 nothing failed (warnings may be there); 1 something does not work;
2 bad arguments.";
