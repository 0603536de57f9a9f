//! pg-boss's tables, read only.

pub mod connect;

pub mod shape;

pub mod depth;

pub mod totals;
