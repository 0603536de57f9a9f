//! What people write: the settings and jobs.json. serde stops at this floor.

pub mod settings;

pub mod sources;

mod defaults;

pub mod job_config;

pub mod service_config;

pub mod dns_label;

pub mod update_strategy;

pub mod one_off_config;

pub mod target_config;

pub mod entry;

pub mod pod_config;

pub mod sharing;

pub mod sharing_rules;

pub mod in_file;

pub mod time_zones;

pub mod windows;

mod window_rules;

pub mod schema;

pub mod jobs_file;

pub mod rules;

pub mod service_rules;

pub mod dependencies;

pub mod json;
pub mod judge;

pub mod problems;

pub mod traces;

pub mod changes;

pub mod what_if;

/// The list of modules to deploy.
pub mod module_list;
