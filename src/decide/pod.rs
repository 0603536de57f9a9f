//! Job and Pod objects: how they are read, and the Job that is written.

pub mod names;

pub mod digest;

pub mod observation;

pub mod env;

pub mod manifest;
