//! One variable of job-chief's own environment, and where its value comes from.

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// It was there.
    Literal(String),
    /// The key of a Secret.
    Secret {
        /// The Secret.
        name: String,
        /// Its key.
        key: String,
    },
    /// The key of a ConfigMap.
    ConfigMap {
        /// The ConfigMap.
        name: String,
        /// Its key.
        key: String,
    },
}

/// A variable, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) given: Given,
    pub(super) origin: String,
}
