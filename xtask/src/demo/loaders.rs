//! Clusters on a laptop, and how their own tools load an image into their nodes.

use std::{path::Path, process::Command};

use anyhow::bail;
use serde_json::Value;

use crate::{processes::succeed, programs::find};

/// A tool that brings up clusters, and the name that it has for one of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loader {
    Kind(String),
    K3d(String),
    Minikube(String),
}

impl Loader {
    /// Whose cluster a context speaks of, by the names that the tools give to contexts.
    pub(super) fn of(context: &str) -> Option<Self> {
        let named = |prefix| context.strip_prefix(prefix).map(str::to_owned);
        named("kind-")
            .map(Self::Kind)
            .or_else(|| named("k3d-").map(Self::K3d))
            .or_else(|| is_profile(context).then(|| Self::Minikube(context.to_owned())))
    }

    fn program(&self) -> &'static str {
        match self {
            Self::Kind(_) => "kind",
            Self::K3d(_) => "k3d",
            Self::Minikube(_) => "minikube",
        }
    }

    fn words<'a>(&'a self, archive: &'a str) -> Vec<&'a str> {
        match self {
            Self::Kind(name) => vec!["load", "image-archive", archive, "--name", name],
            Self::K3d(name) => vec!["image", "import", archive, "--cluster", name],
            Self::Minikube(profile) => vec!["image", "load", archive, "--profile", profile],
        }
    }

    /// An error with what to do unless the tool is there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let program = self.program();
        if find(program).is_none() {
            bail!(
                "this is a cluster of {program}, but the program {program} is not in PATH, which loads the worker's image into its nodes. Or push the image and name it: --image REF"
            );
        }
        Ok(())
    }

    /// Loads an archive as `docker save` writes it.
    pub(super) fn load(&self, archive: &Path) -> anyhow::Result<()> {
        succeed(Command::new(self.program()).args(self.words(super::site::text(archive)?))).map(|_| ())
    }
}

/// Contexts of minikube have the names of its profiles.
fn is_profile(context: &str) -> bool {
    context == "minikube"
        || find("minikube").is_some()
            && succeed(Command::new("minikube").args(["profile", "list", "--light", "--output", "json"]))
                .is_ok_and(|told| profiles(&told).iter().any(|profile| profile == context))
}

fn profiles(told: &str) -> Vec<String> {
    let told: Value = serde_json::from_str(told).unwrap_or_default();
    let valid = told["valid"].as_array().cloned().unwrap_or_default();
    valid.iter().filter_map(|profile| profile["Name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_loads_into_the_cluster_of_the_context() {
        let words = |context| {
            let loader = Loader::of(context).expect("a tool's cluster");
            format!("{} {}", loader.program(), loader.words("/a.tar").join(" "))
        };
        assert_eq!(words("kind-a-b"), "kind load image-archive /a.tar --name a-b");
        assert_eq!(words("k3d-dev"), "k3d image import /a.tar --cluster dev");
        assert_eq!(words("minikube"), "minikube image load /a.tar --profile minikube");
    }

    #[test]
    fn other_contexts_are_nobodys() {
        assert_eq!(Loader::of("arn:aws:eks:eu-central-1:1:cluster/prod"), None);
    }

    #[test]
    fn profiles_are_read_from_minikubes_list() {
        let told = r#"{"invalid":[],"valid":[{"Name":"minikube","Status":"OK"},{"Name":"work"}]}"#;
        assert_eq!(profiles(told), ["minikube", "work"]);
        assert!(profiles("no profile").is_empty());
    }
}
