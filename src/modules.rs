//! Modules: versioned templates of what is deployed together, and the objects that come of them.

pub mod object;

pub mod rendered;

mod source;

pub mod placeholder;

mod scalar;

mod tree;

mod template;

mod fill;

mod secrets;

mod print;

mod kinds;

pub mod job_config;

pub mod module;

pub mod values;

pub mod library;
