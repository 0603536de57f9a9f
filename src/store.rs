//! Our own tables: what must be known after a restart.

pub mod migrate;

pub mod place;

pub mod runs;

pub mod decisions;

pub mod writer;

pub mod leadership;

pub mod switches;

pub mod stored;
