//! Whose an object is: said by two labels, which every object that a deployment has made carries.
//!
//! They are not the labels by which the watches of Jobs select: a Job of a deployment is no run of a JobConfig.

use serde_json::Value;

use crate::decide::pod::names::label_value;

/// The deployment that an object belongs to.
pub const LABEL_DEPLOYMENT: &str = "job-chief/deployment";

/// The Instance whose deployment that is.
pub const LABEL_INSTANCE: &str = "job-chief/instance";

/// One deployment of one Instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    instance: String,
    deployment: String,
}

/// Whose an object is, as a deployment sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This deployment's.
    Ours,
    /// Of another deployment, or of one of another Instance in the namespace.
    OfDeployment {
        /// The Instance.
        instance: String,
        /// The deployment.
        deployment: String,
    },
    /// No deployment has made it.
    Foreign,
}

impl Owner {
    /// A deployment by its name, of an Instance by its uid.
    pub fn new(instance: &str, deployment: &str) -> Self {
        Self { instance: label_value(instance), deployment: label_value(deployment) }
    }

    /// The labels of its objects.
    pub fn labels(&self) -> [(&'static str, &str); 2] {
        [(LABEL_DEPLOYMENT, &self.deployment), (LABEL_INSTANCE, &self.instance)]
    }

    /// Whose an object is.
    pub fn judge(&self, object: &Value) -> Ownership {
        let label = |name: &str| object["metadata"]["labels"][name].as_str();
        match (label(LABEL_DEPLOYMENT), label(LABEL_INSTANCE)) {
            (None, _) => Ownership::Foreign,
            (Some(deployment), instance) => {
                let instance = instance.unwrap_or_default();
                if deployment == self.deployment && instance == self.instance {
                    Ownership::Ours
                } else {
                    Ownership::OfDeployment { instance: instance.to_owned(), deployment: deployment.to_owned() }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_ours_by_both_labels() {
        let owner = Owner::new("a", "cache");
        let of = |labels: Value| owner.judge(&json!({"metadata": {"labels": labels}}));
        let other = |instance: &str, deployment: &str| Ownership::OfDeployment {
            instance: instance.into(),
            deployment: deployment.into(),
        };
        assert_eq!(of(json!({LABEL_DEPLOYMENT: "cache", LABEL_INSTANCE: "a"})), Ownership::Ours);
        assert_eq!(of(json!({LABEL_DEPLOYMENT: "cache", LABEL_INSTANCE: "b"})), other("b", "cache"));
        assert_eq!(of(json!({LABEL_DEPLOYMENT: "mail", LABEL_INSTANCE: "a"})), other("a", "mail"));
        assert_eq!(of(json!({LABEL_DEPLOYMENT: "cache"})), other("", "cache"));
        assert_eq!(of(json!({LABEL_INSTANCE: "a"})), Ownership::Foreign);
        assert_eq!(owner.judge(&json!({"metadata": {}})), Ownership::Foreign);
    }
}
