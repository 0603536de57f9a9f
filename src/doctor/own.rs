//! What the role may do, our own tables, and who leads, judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    doctor::report::{Check, Name, some_of},
    pgboss::survey::BossAccess,
    store::{leadership::Member, survey::OwnSchema},
};

/// Where the tables are, in whose name they are read, and of which version ours are to be.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// pg-boss's schema.
    pub boss: &'a str,
    /// Our own.
    pub own: &'a str,
    /// The role.
    pub role: &'a str,
    /// The version of our schema that this job-chief makes.
    pub newest: i64,
}

/// What was seen of the leadership.
#[derive(Clone, Debug)]
pub struct Leading {
    /// Who is there.
    pub members: Vec<Member>,
    /// Who holds the lease.
    pub holder: Option<Arc<str>>,
    /// The holder has renewed it while it was looked at.
    pub renews: bool,
}

/// What the role may do with both schemas. A schema that is not there lacks nothing.
pub fn grants(place: &Place<'_>, boss: &BossAccess, own: &OwnSchema) -> Check {
    let mut lacks = vec![];
    if boss.exists && !boss.usage {
        lacks.push(format!("USAGE on schema {}", place.boss));
    }
    let unread = boss.select.iter().filter(|(_, may)| !may);
    lacks.extend(unread.map(|(table, _)| format!("SELECT on {}.{table}", place.boss)));
    if own.exists && !own.usage {
        lacks.push(format!("USAGE on schema {}", place.own));
    }
    lacks.extend(lacking_tables(place.own, own));
    if !boss.exists && !own.exists {
        return Name::Grants.skipped(format!("there is neither schema {} nor {}", place.boss, place.own));
    }
    if lacks.is_empty() {
        let there = [(place.boss, boss.exists), (place.own, own.exists)].into_iter().filter(|(_, exists)| *exists);
        let there = some_of(there.map(|(schema, _)| schema));
        return Name::Grants.ok(format!("the role {} may do all it needs in {there}", place.role));
    }
    let advice = format!("Run what `job-chief grants {}` prints, as the owner of the schemas.", place.role);
    Name::Grants.failed(format!("the role {} lacks {}", place.role, lacks.join("; ")), &[&advice])
}

/// The tables on which the same is lacking, together.
fn lacking_tables(schema: &str, own: &OwnSchema) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, privileges) in &own.lacks {
        alike.entry(privileges.join(", ")).or_default().push(format!("{schema}.{table}"));
    }
    alike.iter().map(|(privileges, tables)| format!("{privileges} on {}", tables.join(", "))).collect()
}

/// The version of our own schema.
pub fn schema(place: &Place<'_>, own: &OwnSchema) -> Check {
    let Place { own: name, role, newest, .. } = place;
    let migrate = "Run `job-chief migrate` as its owner, or as a role that may make it; then what `job-chief grants ROLE` prints.";
    match own.version {
        _ if !own.exists && own.may_make => {
            Name::Schema.warning(format!("there is no schema {name} yet; the first start makes it"), &[])
        }
        _ if !own.exists => {
            let found = format!("there is no schema {name}, and the role {role} may not make it");
            Name::Schema.failed(found, &[migrate])
        }
        None => Name::Schema.failed(format!("the role {role} can't read the version of schema {name}"), &[migrate]),
        Some(found) if found == *newest => Name::Schema.ok(format!("{name} is of version {found}, as it should be")),
        Some(found) if found > *newest => Name::Schema.failed(
            format!("{name} is of version {found}, and this job-chief knows {newest}: a newer one has been here"),
            &["Use the newer job-chief. One of this version that runs goes on; it does not start again."],
        ),
        Some(found) if own.owns => Name::Schema.warning(
            format!(
                "{name} is of version {found}, and this job-chief makes {newest}; its next start brings it up to date"
            ),
            &[],
        ),
        Some(found) => {
            Name::Schema.failed(format!("{name} is of version {found}, and this job-chief needs {newest}"), &[migrate])
        }
    }
}

/// Who leads.
pub fn leader(instance: &str, leading: &Leading) -> Check {
    let Leading { members, holder, renews } = leading;
    let others = members.iter().map(|it| &*it.member).filter(|name| Some(*name) != holder.as_deref());
    let standing_by = some_of(others);
    let check = match (holder, renews, members.is_empty()) {
        (Some(holder), true, _) if standing_by.is_empty() => {
            Name::Leader.ok(format!("{holder} leads and renews its lease; nobody stands by"))
        }
        (Some(holder), true, _) => {
            Name::Leader.ok(format!("{holder} leads and renews its lease; standing by: {standing_by}"))
        }
        (_, _, true) => {
            let found = format!("no job-chief of Instance {instance} was there in the last minute");
            let advice =
                "Start it; if it runs, app.instanceUid or db.managerSchema is another there, or its log says why not.";
            return Name::Leader.warning(found, &[advice]);
        }
        (holder, ..) => {
            let holder = holder.as_deref().unwrap_or("nobody");
            let names = some_of(members.iter().map(|it| &*it.member));
            let found = format!("nothing is started: the lease is {holder}'s and is not renewed; there are {names}");
            return Name::Leader.failed(found, &["Another takes it within 5 s; if none does, their logs say why."]);
        }
    };
    let versions: BTreeSet<&str> = members.iter().map(|it| &*it.version).collect();
    let told = format!(
        "They are of versions {}: an update is under way, or was left half done.",
        some_of(versions.iter().copied())
    );
    check.advising_if(versions.len() > 1, &told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    const PLACE: Place<'_> = Place { boss: "pgboss", own: "chief", role: "runner", newest: 5 };

    fn own() -> OwnSchema {
        OwnSchema { exists: true, usage: true, version: Some(5), ..OwnSchema::default() }
    }

    fn boss() -> BossAccess {
        let select = vec![("job".to_owned(), true), ("queue".to_owned(), true)];
        BossAccess { exists: true, usage: true, select }
    }

    #[test]
    fn each_missing_privilege_is_named() {
        assert_eq!(grants(&PLACE, &boss(), &own()).verdict, Verdict::Ok);
        let boss =
            BossAccess { usage: false, select: vec![("job".to_owned(), false), ("queue".to_owned(), true)], ..boss() };
        let both = vec!["INSERT".to_owned(), "DELETE".to_owned()];
        let lacks = vec![("members".to_owned(), both.clone()), ("runs".to_owned(), both)];
        let told = grants(&PLACE, &boss, &OwnSchema { usage: false, lacks, ..own() });
        let found = "the role runner lacks USAGE on schema pgboss; SELECT on pgboss.job; USAGE on schema chief; \
                     INSERT, DELETE on chief.members, chief.runs";
        assert_eq!((told.verdict, told.found.as_str()), (Verdict::Failed, found));
        assert!(told.advice[0].contains("job-chief grants runner"), "{told:?}");
        let (no_boss, no_own) = (BossAccess::default(), OwnSchema::default());
        assert_eq!(grants(&PLACE, &no_boss, &no_own).verdict, Verdict::Skipped);
        assert!(grants(&PLACE, &no_boss, &self::own()).found.ends_with("needs in chief"));
    }

    #[test]
    fn of_a_schema_its_version_counts_and_who_may_change_it() {
        let cases = [
            (own(), Verdict::Ok, "version 5"),
            (OwnSchema { version: Some(6), ..own() }, Verdict::Failed, "newer"),
            (OwnSchema { version: Some(4), ..own() }, Verdict::Failed, "needs 5"),
            (OwnSchema { version: Some(4), owns: true, ..own() }, Verdict::Warning, "next start"),
            (OwnSchema { version: None, ..own() }, Verdict::Failed, "can't read"),
            (OwnSchema::default(), Verdict::Failed, "may not make it"),
            (OwnSchema { may_make: true, ..OwnSchema::default() }, Verdict::Warning, "first start"),
        ];
        for (own, verdict, found) in cases {
            let told = schema(&PLACE, &own);
            assert_eq!((told.verdict, told.found.contains(found)), (verdict, true), "{told:?}");
        }
    }

    fn member(name: &str, version: &str) -> Member {
        Member { member: name.into(), version: version.into(), started_at: String::new(), leads: false }
    }

    #[test]
    fn somebody_leads_and_renews_or_nothing_is_started() {
        let (a, b) = (member("a", "1"), member("b", "1"));
        let of = |members: &[&Member], holder: Option<&str>, renews| Leading {
            members: members.iter().map(|it| (*it).clone()).collect(),
            holder: holder.map(Into::into),
            renews,
        };
        let cases = [
            (of(&[&a, &b], Some("a"), true), Verdict::Ok, "a leads and renews its lease; standing by: b"),
            (of(&[&a], Some("a"), true), Verdict::Ok, "nobody stands by"),
            (of(&[], None, false), Verdict::Warning, "no job-chief of Instance i"),
            (of(&[], Some("a"), false), Verdict::Warning, "no job-chief of Instance i"),
            (of(&[&b], Some("a"), false), Verdict::Failed, "the lease is a's and is not renewed; there are b"),
            (of(&[&b], None, false), Verdict::Failed, "nobody's"),
        ];
        for (leading, verdict, found) in cases {
            let told = leader("i", &leading);
            assert_eq!((told.verdict, told.found.contains(found)), (verdict, true), "{told:?}");
        }
        let newer = member("b", "2");
        assert!(leader("i", &of(&[&a, &newer], Some("a"), true)).advice[0].contains("versions 1, 2"));
    }
}
