//! One queue: when it is looked at, how many Jobs it gets, and what is shown of it.

pub mod windows;

pub mod window_words;

pub mod policy;

pub mod scale;

pub mod event;

pub mod look_schedule;

pub mod gauge_schedule;

pub mod granted_places;

pub mod place_share;

pub mod decision_log;

pub mod lifecycle;

pub mod demand;

pub mod rest;

pub mod status;
