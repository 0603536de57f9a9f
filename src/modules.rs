//! Modules: versioned templates of what is deployed together, and the objects that come of them.

pub mod object;
