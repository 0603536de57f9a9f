//! What holds for every command: the settings, which cluster, and colours.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use crate::{
    app::Plan,
    cluster::connect::Access,
    config::{
        settings::Settings,
        sources::{self, Loaded},
    },
};

/// What holds for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Globals {
    /// A file of settings (JSON, TOML or YAML).
    #[arg(long, global = true, env = "JOB_CHIEF_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The context of the kubeconfig, outside a cluster; never the current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Where --context is looked up [default: $KUBECONFIG, else ~/.kube/config].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The namespace [default: that of the context, or of the settings].
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The installation to ask, where a namespace has several: the release of Helm.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// When to colour.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(super) color: Colour,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also into files.
    Always,
    /// Nowhere.
    Never,
}

/// A configuration that nothing can be started with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadConfiguration(pub(super) String);

impl Globals {
    /// The file of settings, where one was named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The environment, with what was said on the command line in its place.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let namespace = self.namespace.clone().map(|namespace| ("K8S_NAMESPACE".to_owned(), namespace));
        // What is no text is none of our variables.
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        texts.chain(namespace).collect()
    }

    /// Settings and jobs.json.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        Plan::read(self.config(), &self.environment())
            .map_err(|error| anyhow::Error::from(BadConfiguration(format!("{error:#}"))))
    }

    /// The settings alone: what they are asked for must not need a jobs.json.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(self.loaded()?.settings)
    }

    fn loaded(&self) -> Result<Loaded, BadConfiguration> {
        sources::load(self.config(), &self.environment())
            .map_err(|problems| BadConfiguration(format!("the settings are wrong: {problems}")))
    }

    /// The way to the API server.
    pub(super) fn access(&self, in_cluster: bool) -> Result<Access, BadConfiguration> {
        Access::of(in_cluster, self.kubeconfig.clone(), self.context.clone())
            .map_err(|error| BadConfiguration(error.to_string()))
    }
}
