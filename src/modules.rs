//! Modules: templates of what is deployed together.

pub mod object;

pub mod rendered;
