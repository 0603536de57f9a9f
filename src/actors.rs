//! The deciders held to the world: each actor waits, steps its decider, and performs what it wishes.

pub mod orders;

pub mod roster;

pub mod inbox;

pub mod inquiry;

pub mod membership;

pub mod lookout;

pub mod scout;

pub mod performer;

pub mod spawner;

pub mod keeper;

pub mod record;

pub mod broker;

pub mod brokerage;

pub mod supervisor;

pub mod monitor;

pub mod janitor;

pub mod leader;

pub mod file_mark;

pub mod reloader;

pub mod deployer;

pub mod deployment_task;

pub mod deploying;

pub mod lister;

pub mod watched_files;
