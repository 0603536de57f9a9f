//! Kubernetes: the only writer, and one watch each for Jobs and Pods.

pub mod fenced;

mod busy;

mod window;

mod in_flight;

pub mod connect;

pub mod requests;

pub mod apply;

pub mod apply_job;

pub mod apply_error;

pub mod apply_path;

pub mod probe;

pub mod reflect;

pub mod partial;

pub mod index;

pub mod watcher;

pub mod forward;

pub mod survey;
