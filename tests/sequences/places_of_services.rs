//! Places of services: what a replica waits for, keeps, and gives up.

use std::sync::Arc;

use job_chief::decide::{
    outcome::{Outcome, Reason},
    place::Places,
    run::event::{LoadedRun, LoadedRuns, RunEffect, RunEvent, WishAnswer},
    service::{
        account::ReplicaState,
        desired::DesiredState,
        event::{ServiceEffect, ServiceEvent},
        keep_alive::KeepAlive,
        policy::ServicePolicy,
        start_order::PeerStatus,
        state::ServiceState,
    },
    share::need::{Grant, Need},
};
use serde_json::{Value, json};

use crate::{
    places::{grant, places},
    script::{SECOND, on_record},
    service::{Service, policy},
};

fn sharing(keys: &Value, pools: &[&str]) -> ServicePolicy {
    ServicePolicy { pools: pools.iter().map(|pool| Arc::from(*pool)).collect(), ..policy(keys, "g1") }
}

impl Service {
    /// A service whose replicas take a place of the pool `gpu`.
    fn with_places(keys: &Value) -> Self {
        Self::with_places_and(keys, LoadedRuns::default())
    }

    fn with_places_and(keys: &Value, loaded: LoadedRuns) -> Self {
        let now = 1_000_000 * SECOND;
        let mut service = Self::of(KeepAlive::new(crate::script::naming(), sharing(keys, &["gpu"]), 1, now), now);
        service.loaded = loaded;
        service.feed(ServiceEvent::DeadlineReached);
        service.view();
        service
    }

    fn grant(&mut self, number: u64, numbers: &[u32]) {
        self.feed(ServiceEvent::Granted(grant(number, "gpu", numbers)));
    }

    /// Without what has gone back so far.
    fn need(&self) -> Need {
        Need { returned: 0, ..self.life.need().unwrap() }
    }

    /// The numbers of what it holds, and how many more it wants.
    fn stands(&self) -> (Vec<u32>, u64) {
        let need = self.need();
        let mut held: Vec<u32> = need.held.iter().flat_map(|places| places.iter().map(|it| it.number)).collect();
        held.sort_unstable();
        (held, need.wanted)
    }
}

fn stopped() -> DesiredState {
    DesiredState { stopped: true, ..DesiredState::default() }
}

#[test]
fn a_replica_waits_for_its_places_and_says_so() {
    let mut it = Service::with_places(&json!({"replicas": 2}));
    assert_eq!((it.live().len(), it.stands()), (0, (vec![], 2)));
    assert_eq!(it.need().since, Some(it.now));
    assert_eq!(it.life.deadline(), None, "nothing is due");
    let status = it.life.status(it.now);
    assert_eq!(status.error.as_deref(), Some("replica 0 waits for a place in gpu"));
    assert_eq!(status.waiting_for_place, Some(it.now));
    let told: Vec<_> = status.replicas.iter().map(|it| (it.state, it.problem.as_deref())).collect();
    assert_eq!(told, [(ReplicaState::Held, Some("waits for a place in gpu")); 2]);
    assert!(it.life.peer_status(&PeerStatus::default()).begun, "it holds up nobody");
    it.grant(1, &[3]);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![3], 1)));
    assert_eq!(it.error(), "replica 1 waits for a place in gpu");
    it.grant(2, &[0, 1]);
    assert_eq!((it.live().len(), it.stands()), (2, (vec![0, 3], 0)), "what nobody needs goes back");
    assert_eq!(it.life.need().unwrap().returned, 1);
    assert_eq!((it.need().since, it.need().seen), (None, 2));
}

#[test]
fn a_service_without_pools_takes_no_places() {
    let mut it = Service::begin(&json!({}));
    assert_eq!((it.live().len(), it.need()), (1, Need { partial: true, ..Need::default() }));
    it.grant(1, &[0]);
    assert_eq!((it.live().len(), it.need()), (1, Need { seen: 1, partial: true, ..Need::default() }));
}

#[test]
fn a_replica_keeps_its_places_between_two_of_its_runs() {
    let mut it = Service::with_places(&json!({}));
    it.grant(1, &[5]);
    it.all_run();
    // It fails, and waits.
    it.all_end(Outcome::Failed, Reason::ExitCode);
    assert_eq!((it.live().len(), it.stands()), (0, (vec![5], 0)));
    it.pass(12 * SECOND);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![5], 0)));
    // It is restarted.
    it.all_run();
    it.order(DesiredState { starts: 1, restart_before: 1, ..DesiredState::default() });
    assert_eq!(it.stands(), (vec![5], 0));
    it.gone();
    it.pass(SECOND);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![5], 0)));
    // It is replaced.
    it.all_run();
    it.generation = "g2".into();
    let next = ServicePolicy { generation: "g2".into(), ..sharing(&json!({}), &["gpu"]) };
    it.feed(ServiceEvent::Configured(Box::new(next)));
    it.gone();
    it.pass(SECOND);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![5], 0)));
    let wishes = it.transcript.iter().filter(|line| line.contains("WriteWishes"));
    assert!(
        wishes.clone().count() == 4 && wishes.clone().all(|line| line.contains("number: 5")),
        "{:?}",
        it.transcript
    );
}

#[test]
fn what_is_not_wanted_any_more_gives_up_its_places_when_its_job_is_gone() {
    let fewer = || ServiceEvent::Configured(Box::new(sharing(&json!({"replicas": 1}), &["gpu"])));
    let cases = [
        ("stopped", ServiceEvent::Desired(stopped()), vec![]),
        ("disabled", ServiceEvent::Desired(DesiredState { enabled: false, ..DesiredState::default() }), vec![]),
        ("left", ServiceEvent::Run(RunEvent::Drain), vec![]),
        ("scaled down", fewer(), vec![0]),
    ];
    for (name, event, left) in cases {
        let mut it = Service::with_places(&json!({"replicas": 2}));
        it.grant(1, &[0, 1]);
        it.all_run();
        it.feed(event);
        assert_eq!(it.stands(), (vec![0, 1], 0), "{name}: its Jobs are on their way out");
        it.gone();
        it.pass(20 * SECOND);
        assert_eq!(it.stands(), (left, 0), "{name}");
    }
}

#[test]
fn what_waits_after_a_failure_and_is_stopped_gives_up_its_places_at_once() {
    let mut it = Service::with_places(&json!({}));
    it.grant(1, &[5]);
    it.all_run();
    it.all_end(Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.stands(), (vec![5], 0));
    it.order(stopped());
    assert_eq!(it.need(), Need { seen: 1, ..Need::default() });
}

#[test]
fn one_that_is_not_kept_alive_gives_up_its_places_at_its_end() {
    let mut it = Service::with_places(&json!({"keepAlive": false}));
    it.grant(1, &[5]);
    it.all_run();
    it.all_end(Outcome::Succeeded, Reason::Completed);
    it.pass(SECOND);
    assert_eq!((it.stands(), it.state().0), ((vec![], 0), ServiceState::NotStarted));
}

#[test]
fn what_may_not_start_wants_no_places() {
    let mut it = Service::with_places(&json!({}));
    it.feed(ServiceEvent::Run(RunEvent::ViewStale));
    assert_eq!(it.need(), Need::default());
    it.grant(1, &[0]);
    assert_eq!(it.need(), Need { seen: 1, ..Need::default() });
    it.view();
    assert_eq!(it.stands(), (vec![], 1));
    it.order(stopped());
    assert_eq!(it.stands(), (vec![], 0));
}

#[test]
fn what_it_requires_is_asked_before_a_place_is_wanted_and_again_before_the_start() {
    let mut it = Service::with_places(&json!({"requirements": [{"tcp": {"host": "db", "port": 5432}}]}));
    assert_eq!(it.stands(), (vec![], 0), "it could not use it");
    assert_eq!(it.targets_answer(Ok(())), 1);
    assert_eq!(it.stands(), (vec![], 1));
    it.pass(60 * SECOND);
    assert_eq!((it.stands(), it.targets_answer(Ok(()))), ((vec![], 1), 0), "nobody asks while it waits");
    it.grant(1, &[2]);
    assert_eq!((it.live().len(), it.stands()), (0, (vec![2], 0)));
    assert_eq!(it.targets_answer(Ok(())), 1);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![2], 0)));
}

#[test]
fn what_runs_once_beside_the_replicas_takes_no_place() {
    let mut it = Service::with_places(&json!({"actions": {"a": {"podConfig": {"image": "a"}}}}));
    it.ask("a", 1);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![], 1)));
    assert_eq!(it.need().held, [] as [Places; 0]);
}

#[test]
fn runs_on_record_have_their_own_places_and_those_without_count_all_the_same() {
    let run = |name: &str, slot, places: Places| LoadedRun { starts: Some(0), places, ..on_record(name, slot, SECOND) };
    let unfinished = vec![run("a", 0, places(&["gpu"], 7)), run("b", 1, places(&[], 0))];
    let loaded = LoadedRuns { unfinished, ..LoadedRuns::default() };
    let mut it = Service::with_places_and(&json!({"replicas": 2}), loaded);
    assert_eq!(it.need().held, [places(&["gpu"], 7), places(&[], 0)]);
    it.all_run();
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(20 * SECOND);
    assert_eq!((it.live().len(), it.stands()), (1, (vec![7], 1)), "the one that had none waits for its own");
}

#[test]
fn other_pools_leave_what_runs_alone_and_the_next_run_takes_new_places() {
    let mut it = Service::with_places(&json!({}));
    it.grant(1, &[5]);
    it.all_run();
    it.feed(ServiceEvent::Configured(Box::new(sharing(&json!({}), &["gpu", "licence"]))));
    assert_eq!((it.live().len(), it.need().held), (1, vec![places(&["gpu"], 5)]));
    it.all_end(Outcome::Failed, Reason::ExitCode);
    assert_eq!(it.stands(), (vec![], 0));
    it.pass(12 * SECOND);
    assert_eq!(it.stands(), (vec![], 1));
    it.grant(2, &[5]);
    assert_eq!((it.live().len(), it.stands()), (0, (vec![], 0)), "these are of another jobs.json");
    it.pass(SECOND);
    assert_eq!(it.stands(), (vec![], 1), "it asks again, at a pace");
    it.feed(ServiceEvent::Granted(Grant { number: 3, places: vec![places(&["gpu", "licence"], 0)] }));
    assert_eq!((it.live().len(), it.need().held), (1, vec![places(&["gpu", "licence"], 0)]));
    it.feed(ServiceEvent::Configured(Box::new(sharing(&json!({}), &[]))));
    it.all_end(Outcome::Failed, Reason::ExitCode);
    it.pass(30 * SECOND);
    assert_eq!((it.live().len(), it.need()), (1, Need { seen: 3, partial: true, ..Need::default() }));
}

#[test]
fn a_wish_that_is_refused_gives_up_its_places() {
    let now = 1_000_000 * SECOND;
    let mut life = KeepAlive::new(crate::script::naming(), sharing(&json!({}), &["gpu"]), 1, now);
    life.step(now, [ServiceEvent::DeadlineReached]);
    life.step(
        now,
        [RunEvent::RunsLoaded(Some(LoadedRuns::default())).into(), RunEvent::Observed(Arc::default()).into()],
    );
    let effects = life.step(now, [ServiceEvent::Granted(grant(1, "gpu", &[2]))]);
    let [ServiceEffect::Run(RunEffect::WriteWishes(wishes))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(wishes[0].places, places(&["gpu"], 2));
    life.step(now, [RunEvent::WishWritten(wishes[0].name.clone(), Some(WishAnswer::SlotTaken)).into()]);
    assert_eq!(life.need(), None);
    let later = life.deadline().unwrap();
    assert_eq!(life.step(later, [ServiceEvent::DeadlineReached]), [ServiceEffect::Run(RunEffect::LoadRuns)]);
    life.step(later, [RunEvent::RunsLoaded(Some(LoadedRuns::default())).into()]);
    assert_eq!(life.need(), Some(Need { wanted: 1, since: Some(later), seen: 1, refused: 1, ..Need::default() }));
}
