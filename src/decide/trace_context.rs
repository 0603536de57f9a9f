//! W3C Trace Context of a run: its ids follow from the name of its Job, so that whoever speaks of the run agrees, also after
//! a restart, without anybody keeping anything.

use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId};
use sha2::{Digest, Sha256};

use crate::decide::outcome::JobName;

/// Which runs are traced: a share of them, by their trace ids, as every sampler by ratio does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// A trace is taken whose id is below that, in 63 bits.
    below: u64,
}

/// The values of the 63 bits that samplers by ratio look at.
const VALUES: u64 = 1 << 63;

impl Sampler {
    /// Takes this share of all traces; below 0 is none, above 1 is all.
    pub fn of_ratio(ratio: f64) -> Self {
        // A cast of a float stops at the bounds of the integer.
        Self { below: ((ratio * VALUES as f64) as u64).min(VALUES) }
    }

    /// The run of this Job is traced.
    pub fn takes(self, job: &JobName) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace_id(job).to_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.below
    }

    /// The value of the variable `TRACEPARENT` by which a worker's own spans become part of its run's trace, if that is
    /// taken; else they are told that nobody takes it.
    pub fn traceparent(self, job: &JobName) -> String {
        format!("00-{}-{}-{:02x}", trace_id(job), root_span_id(job), u8::from(self.takes(job)))
    }
}

/// The id of the trace of a run.
pub fn trace_id(job: &JobName) -> TraceId {
    let digest = digest(job, "trace", Duration::ZERO);
    TraceId::from_bytes(std::array::from_fn(|at| digest[at]))
}

/// The id of the span of the whole run.
pub fn root_span_id(job: &JobName) -> SpanId {
    span_id(job, "run", Duration::ZERO)
}

/// The id of the span of one thing in a run that began then: of several of the kind each has its own.
pub fn span_id(job: &JobName, what: &str, began_at: Duration) -> SpanId {
    let digest = digest(job, what, began_at);
    SpanId::from_bytes(std::array::from_fn(|at| digest[at]))
}

fn digest(job: &JobName, what: &str, began_at: Duration) -> [u8; 32] {
    Sha256::new()
        .chain_update(what)
        .chain_update([0])
        .chain_update(&job.0)
        .chain_update([0])
        .chain_update(began_at.as_nanos().to_be_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn job(number: u32) -> JobName {
        JobName(format!("job-chief-aaaaaa-mail-{number}"))
    }

    #[test]
    fn the_ids_of_a_run_are_the_same_in_every_version() {
        let all = Sampler::of_ratio(1.0);
        insta::assert_snapshot!(all.traceparent(&job(0)), @"00-54848c7c07528d17d8d37e0d16881b25-090d3f36d732e4d8-01");
    }

    #[test]
    fn each_run_and_each_span_has_an_id_of_its_own() {
        let traces: HashSet<_> = (0..100).map(|number| trace_id(&job(number))).collect();
        assert_eq!(traces.len(), 100);
        let second = Duration::from_secs(1);
        let spans = [
            root_span_id(&job(0)),
            root_span_id(&job(1)),
            span_id(&job(0), "create", second),
            span_id(&job(0), "create", 2 * second),
            span_id(&job(0), "start", second),
        ];
        assert_eq!(HashSet::from(spans).len(), spans.len());
    }

    #[test]
    fn a_sampler_takes_its_share_and_always_the_same() {
        let taken = |ratio| (0..1_000).filter(|number| Sampler::of_ratio(ratio).takes(&job(*number))).count();
        assert_eq!((taken(0.0), taken(1.0), taken(-1.0), taken(7.0)), (0, 1_000, 0, 1_000));
        assert!((200..300).contains(&taken(0.25)), "{}", taken(0.25));
        let (some, more) = (Sampler::of_ratio(0.25), Sampler::of_ratio(0.5));
        assert!((0..1_000).all(|number| !some.takes(&job(number)) || more.takes(&job(number))));
    }

    #[test]
    fn a_worker_is_told_whether_its_trace_is_taken() {
        let (all, none) = (Sampler::of_ratio(1.0).traceparent(&job(0)), Sampler::of_ratio(0.0).traceparent(&job(0)));
        assert_eq!(all.strip_suffix("-01"), none.strip_suffix("-00"));
        assert_eq!(all, format!("00-{}-{}-01", trace_id(&job(0)), root_span_id(&job(0))));
    }
}
