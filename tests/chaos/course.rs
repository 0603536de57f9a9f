//! The course of a run: all is set, faults come, it grows calm, and it is told what was seen.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::{
    acts::Field,
    dice::Dice,
    file::{File, SERVICE},
    journal::Journal,
    load::{self, Sender},
    pair::Pair,
    replica::Replica,
    schedule::{Fault, Kind, Schedule},
    schema::{FIRST_BOSS, Schema},
    seen::Seen,
    stage::{Site, Stage},
    table::Table,
    witness,
};

/// How long it may take until all is well again after a fault, whatever else happens meanwhile.
const WELL_WITHIN: Duration = Duration::from_secs(300);

/// How long a step that settles waits.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take at the end until everything is done.
const CALM_WITHIN: Duration = Duration::from_secs(240);

/// How long nothing is created then.
const IDLE: Duration = Duration::from_secs(10);

/// How often something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A run.
pub(crate) struct Course {
    field: Arc<Field>,
    sender: Sender,
    seed: u64,
    table: Arc<Mutex<Table>>,
    /// Faults that have begun.
    begun: Arc<AtomicU64>,
    /// The load, which ends before it grows calm.
    load: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

impl Course {
    /// Sets everything, and waits until all is well.
    pub(crate) async fn begin(seed: u64, folder: &Path) -> Self {
        let mut site = Site::read();
        let pair = Pair::at(&mut site).await;
        let stage = Stage::set_on(site.clone(), "chaos", FIRST_BOSS).await;
        let (client, namespace) = (site.client().await, stage.name.clone());
        let database_url = site.database_url(&stage.database());
        let journal = Arc::new(Journal::begin(folder));
        let sender = Sender { database_url: database_url.clone() };
        sender.queues().await;
        let file = File::new(&namespace, &database_url);
        let module = stage.folder.path().join("modules/note/latest");
        std::fs::create_dir_all(&module).unwrap();
        std::fs::write(module.join("note.yaml"), file.module()).unwrap();
        stage.write_jobs(&file.text());
        let migrated = stage.beside_it(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        stage.execute(witness::RECORD).await;
        journal.note(Seen::Allowed(file.allowed().expect("it is whole")));
        witness::begin(&journal, &client, &namespace, database_url.clone());
        let modules = stage.folder.path().join("modules");
        let beside = stage.beside().await;
        let first = Arc::new(Replica::on(0, stage, &modules, &pair, &journal).await);
        let second = Arc::new(Replica::on(1, beside, &modules, &pair, &journal).await);
        let replicas = [first, second];
        for replica in &replicas {
            replica.write(&file.text()).await;
            replica.start().await;
        }
        let (file, mended) = (file.into(), Some(Instant::now()).into());
        let schema = Schema { database_url, npm: site.folder.join("npm") };
        let field = Field { replicas, file, client, namespace, schema, pair, journal: journal.clone(), mended };
        let field = Arc::new(field);
        for replica in &field.replicas {
            tokio::spawn(replica.clone().keep(field.clone()));
        }
        let load = tokio::spawn(load::steadily(sender.clone(), seed));
        let upkeep = tokio::spawn(load::upkeep(sender.clone(), journal.clone()));
        let course = Self { field, sender, seed, table: Arc::default(), begun: Arc::default(), load, upkeep };
        let took = well(&course.field, &course.sender, Dice(seed ^ 1)).await;
        println!("all is well after {:.1} s", took.expect("all is well at the beginning").as_secs_f64());
        course
    }

    /// Faults until the time is over, or something does not hold.
    pub(crate) async fn run(&self, lasts: Duration) {
        let (begun, mut told) = (Instant::now(), Instant::now());
        let mut recovering = vec![];
        for step in Schedule::of(self.seed) {
            if begun.elapsed() >= lasts || !self.field.journal.violations().is_empty() {
                break;
            }
            let mut these = tokio::spawn(self.perform(&step.faults).await.join_all());
            // Where it takes longer, it goes on beside what comes next.
            if !step.settles || tokio::time::timeout(SETTLES_WITHIN, &mut these).await.is_err() {
                recovering.push(these);
            }
            tokio::time::sleep(step.pause).await;
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                self.tell_progress(begun.elapsed());
            }
        }
        for these in recovering {
            these.await.unwrap();
        }
    }

    fn tell_progress(&self, elapsed: Duration) {
        let ((jobs, _, messages), open) = self.field.journal.ask(|judge| (judge.counts(), judge.open_messages()));
        let faults = self.table.lock().unwrap().faults();
        println!("{:>5.0} s: {faults} faults, {jobs} Jobs, {messages} messages, {open} open", elapsed.as_secs_f64());
    }

    /// Does these at once. What is returned is the time until all is well after each.
    async fn perform(&self, faults: &[Fault]) -> JoinSet<()> {
        let mut performing = JoinSet::new();
        for fault in faults.iter().cloned() {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let (field, table) = (self.field.clone(), self.table.clone());
            performing.spawn(async move {
                field.journal.write("fault begins", &json!(format!("{fault:?}")));
                let was_done = field.perform(&fault).await;
                field.journal.write("fault ends", &json!(format!("{:?}, done: {was_done}", fault.kind)));
                table.lock().unwrap().happened(fault.kind, was_done);
                (fault, was_done, Instant::now())
            });
        }
        let mut recovering = JoinSet::new();
        let are_alone = faults.len() == 1;
        for (fault, was_done, ended) in performing.join_all().await {
            if was_done {
                let again = self.well_again(fault.kind, Dice(fault.pick), ended, are_alone);
                recovering.spawn(again);
            }
        }
        recovering
    }

    /// Waits until all is well, and takes down how long it took.
    fn well_again(&self, kind: Kind, dice: Dice, ended: Instant, is_alone: bool) -> impl Future<Output = ()> + use<> {
        let (field, sender, table, begun) =
            (self.field.clone(), self.sender.clone(), self.table.clone(), self.begun.clone());
        let before = begun.load(Ordering::SeqCst);
        async move {
            match well(&field, &sender, dice).await {
                Some(_) => {
                    let is_alone = is_alone && begun.load(Ordering::SeqCst) == before;
                    table.lock().unwrap().recovered(kind, ended.elapsed(), is_alone);
                }
                None => field.journal.violated(format!("not all is well {WELL_WITHIN:?} after: {}", kind.name())),
            }
        }
    }

    /// No faults and no new messages: everything that was begun comes to its end, and then nothing happens.
    pub(crate) async fn calms(&self) {
        let journal = &self.field.journal;
        if !journal.violations().is_empty() {
            return;
        }
        self.load.abort();
        let is_done = async || {
            let (open, live) = journal.ask(|judge| (judge.open_messages(), judge.live()));
            open == 0 && live.0 == 0 && live.1 == SERVICE.1 && self.is_deployed().await
        };
        let begun = Instant::now();
        while !is_done().await {
            if begun.elapsed() > CALM_WITHIN {
                let left = journal.ask(|judge| (judge.open_messages(), judge.live()));
                let deployed = self.is_deployed().await;
                journal.violated(format!(
                    "{CALM_WITHIN:?} after the last fault {} messages are open, {} Jobs of queues and {} replicas live; deployed: {deployed}",
                    left.0, left.1.0, left.1.1
                ));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        println!("everything was done {:.1} s after the last fault", begun.elapsed().as_secs_f64());
        let before = journal.ask(|judge| judge.counts().0);
        tokio::time::sleep(IDLE).await;
        let more = journal.ask(|judge| judge.counts().0) - before;
        if more > 0 {
            journal.violated(format!("{more} Jobs were made of empty queues"));
        }
        self.upkeep.abort();
        journal.close();
    }

    /// The ConfigMap of the module says the last revision.
    async fn is_deployed(&self) -> bool {
        let maps: Api<ConfigMap> = Api::namespaced(self.field.client.clone(), &self.field.namespace);
        let revision = self.field.file.lock().await.revision.to_string();
        let data = maps.get_opt("note").await.ok().flatten().and_then(|map| map.data).unwrap_or_default();
        data.get("revision") == Some(&revision)
    }

    /// Ends both, and tells what was seen; `false` if something did not hold.
    pub(crate) async fn tells(&self, seed: u64) -> bool {
        let journal = &self.field.journal;
        for replica in &self.field.replicas {
            replica.end(journal).await;
        }
        self.field.pair.settles().await;
        let (jobs, relists, messages) = journal.ask(super::judge::Judge::counts);
        let table = self.table.lock().unwrap().text();
        let violations = journal.violations();
        println!("\n{table}");
        println!(
            "{jobs} Jobs, {messages} messages, {relists} relists of the witness' watch, {} violations",
            violations.len()
        );
        let Some(first) = violations.first() else {
            let namespaces: Api<Namespace> = Api::all(self.field.client.clone());
            drop(namespaces.delete(&self.field.namespace, &DeleteParams::background()).await);
            return true;
        };
        let logs = self.field.replicas.each_ref().map(|replica| replica.log());
        for (name, path) in &logs {
            std::fs::copy(path, journal.path.with_file_name(format!("{name}.log"))).unwrap();
        }
        let joined = journal.join(&logs, first.at);
        println!("seed {seed}, at {:.1} s: {}", first.at.as_secs_f64(), first.what);
        println!("what was seen and done around it: {}", joined.display());
        false
    }
}

/// How long it takes until a message that is sent now is taken by a Job that is made from now on, and both are ready.
async fn well(field: &Field, sender: &Sender, mut dice: Dice) -> Option<Duration> {
    let (begun, since) = (Instant::now(), field.journal.now());
    let mut probe = sender.probe(&mut dice).await;
    while begun.elapsed() < WELL_WITHIN {
        let taken = field.journal.ask(|judge| judge.taken(&probe));
        if taken.is_some_and(|born| born < since) {
            // By a Job that was there before, which shows nothing.
            probe = sender.probe(&mut dice).await;
        } else if taken.is_some() && field.replicas[0].is_ready().await && field.replicas[1].is_ready().await {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}
