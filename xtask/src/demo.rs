//! The demo: everything is brought up, messages are sent, and the screen shows how they become Jobs.

mod chief;
mod guest;
mod interrupt;
mod loaders;
mod rounds;
mod site;

use std::{path::PathBuf, time::Instant};

use clap::Args;

use self::{chief::Chief, guest::Guest, rounds::rounds, site::Site};
use crate::{build, cluster, image::WORKER, steps};

/// What the demo is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Install what is missing.
    #[arg(long)]
    yes: bool,
    /// End after the first round, with a summary.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    guest: Theirs,
}

/// A cluster that somebody else has brought up.
#[derive(Args)]
struct Theirs {
    /// Play on the cluster of this context of your kubeconfig, in a namespace that is made for it and deleted again.
    ///
    /// The worker's image is loaded by the cluster's own tool when the context is one of kind, k3d or minikube; for
    /// any other cluster name an image with --image.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig of --context, if it is not the one that kubectl takes.
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<PathBuf>,
    /// The worker's image where the nodes of --context can pull it: build it with
    /// `docker build -t REF examples/worker`, and push it.
    #[arg(long, value_name = "REF", requires = "context")]
    image: Option<String>,
    /// A Postgres that the pods of --context and this machine reach under the same address; its role must be allowed
    /// to create a database, in which the demo stays. Without it, one is started as a pod.
    #[arg(long, value_name = "URL", requires = "context")]
    database_url: Option<String>,
    /// The image of that pod.
    #[arg(long, value_name = "REF", requires = "context", default_value = "docker.io/library/postgres:17-alpine")]
    postgres_image: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    match &options.guest.context {
        Some(context) => on_theirs(options, context, begun),
        None => on_ours(options, begun),
    }
}

/// On the test cluster, which stays up for the next time.
fn on_ours(options: &Options, begun: Instant) -> anyhow::Result<()> {
    eprintln!("bringing up the test cluster");
    let state = cluster::up_for_demo(options.yes, vec![steps::step("building job-chief (Rust)", build::job_chief)])?;
    if !state.real_node {
        eprintln!(
            "without root there are no containers: pods run on the scale node, which only plays them, and this demo takes the messages in their place"
        );
    }
    let site = Site::ours(&state)?;
    steps::show_times(begun.elapsed());
    let rounds = play(&site, options.once)?;
    eprintln!(
        "{}, start included. The cluster stays up for the next time: cargo xtask cluster down",
        told(rounds, begun)
    );
    Ok(())
}

/// On a cluster that somebody has, of which nothing is touched but a namespace of our own.
fn on_theirs(options: &Options, context: &str, begun: Instant) -> anyhow::Result<()> {
    let Theirs { kubeconfig, image, database_url, postgres_image, .. } = &options.guest;
    interrupt::listen()?;
    let wishes = guest::Wishes {
        install: options.yes,
        context,
        kubeconfig: kubeconfig.as_deref(),
        image: image.as_deref(),
        database_url: database_url.as_deref(),
        postgres_image,
    };
    let mut guest = Guest::arrive(&wishes)?;
    let loads_image = image.is_none();
    let played = guest.site().and_then(|site| {
        steps::show_times(begun.elapsed());
        play(&site, options.once)
    });
    let left = guest.leave();
    let rounds = played?;
    left?;
    let but = if loads_image { format!(", but the image {WORKER} on its nodes") } else { String::new() };
    eprintln!("{}, start included. Nothing is left in the cluster of {context}{but}", told(rounds, begun));
    Ok(())
}

fn told(rounds: u32, begun: Instant) -> String {
    let s = if rounds == 1 { "" } else { "s" };
    format!("{rounds} round{s} in {:.0} s", begun.elapsed().as_secs_f64())
}

/// job-chief is started, rounds are played, job-chief is stopped.
fn play(site: &Site, once: bool) -> anyhow::Result<u32> {
    interrupt::listen()?;
    let mut chief = Chief::start(site)?;
    let played = rounds(site, once, &mut chief);
    chief.stop();
    played
}
