//! The table has what happened.

use std::time::Duration;

use crate::{schedule::Kind, table::Table};

#[test]
fn each_kind_has_its_row_and_all_have_one() {
    let mut table = Table::default();
    for took in [1, 3, 2] {
        table.happened(Kind::PodKilled, true);
        table.recovered(Kind::PodKilled, Duration::from_secs(took), took != 3);
    }
    table.happened(Kind::ClockAhead, false);
    let text = table.text();
    assert!(text.contains("| pod killed | 3 | 2 | 2.0 s | 2.0 s | 1 | 3.0 s | 3.0 s |"), "{text}");
    assert!(text.contains("| clock set ahead | 0 | 0 |  |  | 0 |  |  |"), "{text}");
    assert!(text.contains("| all | 3 | 2 | 2.0 s | 2.0 s | 1 | 3.0 s | 3.0 s |"), "{text}");
    assert_eq!(table.faults(), 3);
}
