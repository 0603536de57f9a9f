//! pg-boss's tables, read only.

pub mod connect;

pub mod shape;

pub mod depth;

pub mod listen;

pub mod looks;

pub mod totals;
