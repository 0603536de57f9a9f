//! The pages that people read say what is so: made from the types or held against them, their snippets run or parsed,
//! their links followed.
#![expect(clippy::unwrap_used, reason = "test code")]

mod forecast;
mod links;
mod metrics;
mod page;
mod reference;
mod sequences;
mod sharing;
mod snippets;
mod words;
