//! Statements with their values in them, each one message to Postgres and one answer.
//!
//! A pooler in transaction mode may give each message to another connection of the server. What the usual way sends in
//! two (prepare, then bind) may then be bound to somebody else's statement; so values are written into the text, as
//! literals, and a statement is one simple query. Only a session that is known to be ours keeps any (`Kept`).

use std::fmt::Write;

use futures::stream::BoxStream;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use sha2::{Digest, Sha224};
use sqlx::{
    AssertSqlSafe, Executor, Postgres, RawSql,
    postgres::{PgQueryResult, PgRow},
};

/// A name in double quotes, safe to stand in a statement.
pub fn quoted(name: &str) -> String {
    escape_identifier(name)
}

/// A name that stands for a text: a prefix and 24 hexadecimal digits of its hash, as pg-boss 12 derives its channels.
pub fn short_name(prefix: &str, text: &str) -> String {
    let mut name = prefix.to_owned();
    for byte in Sha224::digest(text).iter().take(12) {
        write!(name, "{byte:02x}").expect("a String takes everything");
    }
    name
}

/// A statement whose `$1`, `$2` … stand for values.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What is set for the text that follows it, in the same message.
    setting: &'static str,
    text: String,
    values: Vec<String>,
}

impl Statement {
    /// A statement without its values. `text` holds nothing that came from outside but names that were [`quoted`].
    pub fn new(text: impl Into<String>) -> Self {
        Self { setting: "", text: text.into(), values: vec![] }
    }

    /// Not compiled by Postgres before it is run, however dear the planner believes it to be: compiling takes longer than
    /// a wide statement that finds little. The setting goes in the same message, which is a transaction of its own, and
    /// ends with that; so it holds behind a pooler, too, and is nobody else's.
    #[must_use]
    pub fn without_jit(mut self) -> Self {
        self.setting = "set local jit = off; ";
        self
    }

    /// One that may read much, and is not wanted any more once nobody waits for it: the server ends it, too. The setting
    /// is nobody else's, as with [`Self::without_jit`].
    #[must_use]
    pub fn for_long(mut self) -> Self {
        self.setting = "set local jit = off; set local statement_timeout = '10s'; ";
        self
    }

    /// Its plan as JSON, with what it took, instead of its rows.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.text.insert_str(0, "explain (analyze, format json) ");
        self
    }

    /// As it would be if the planner compiled it: what [`Self::without_jit`] is measured against.
    #[must_use]
    pub fn with_jit(mut self) -> Self {
        self.setting = "";
        self
    }

    /// The next value.
    #[must_use]
    pub fn bind(mut self, value: impl Literal) -> Self {
        self.values.push(value.literal());
        self
    }

    /// The same for a session that keeps its plan. Its values are of `types`, in their order.
    pub fn kept(&self, types: &[&str]) -> Kept {
        assert_eq!(self.values.len(), types.len(), "each value has its type");
        let name = short_name("job_chief_", &self.text);
        let values: Vec<_> = self.values.iter().zip(types).map(|(value, of)| format!("{value}::{of}")).collect();
        let prepare = format!("prepare {name} ({}) as {}; ", types.join(", "), self.text);
        let execute = format!("{}{KEPT}execute {name}({})", self.setting, values.join(", "));
        Kept { name, prepare, execute }
    }

    /// The text with every value in its place. What stands in double quotes is a name, also where it holds a `$`.
    fn filled(&self) -> AssertSqlSafe<String> {
        let mut filled = self.setting.to_owned();
        for (part, is_name) in self.text.split('"').zip([false, true].into_iter().cycle()) {
            match is_name {
                true => filled.extend(["\"", part, "\""]),
                false => self.fill(part, &mut filled),
            }
        }
        AssertSqlSafe(filled)
    }

    fn fill(&self, text: &str, filled: &mut String) {
        let mut parts = text.split('$');
        filled.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let number: usize = part[..digits].parse().expect("a `$` of ours is followed by a number");
            filled.push_str(self.values.get(number.wrapping_sub(1)).expect("as many values as the statement names"));
            filled.push_str(&part[digits..]);
        }
    }

    /// All rows, one after the other.
    pub fn fetch<'e>(self, at: impl Executor<'e, Database = Postgres> + 'e) -> BoxStream<'e, sqlx::Result<PgRow>> {
        sqlx::raw_sql(self.filled()).fetch(at)
    }

    /// All rows.
    ///
    /// # Errors
    /// The error of Postgres or of the connection.
    pub async fn fetch_all(self, at: impl Executor<'_, Database = Postgres>) -> sqlx::Result<Vec<PgRow>> {
        sqlx::raw_sql(self.filled()).fetch_all(at).await
    }

    /// The one row.
    ///
    /// # Errors
    /// As [`Self::fetch_all`], and where there is none.
    pub async fn fetch_one(self, at: impl Executor<'_, Database = Postgres>) -> sqlx::Result<PgRow> {
        sqlx::raw_sql(self.filled()).fetch_one(at).await
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`Self::fetch_all`].
    pub async fn fetch_optional(self, at: impl Executor<'_, Database = Postgres>) -> sqlx::Result<Option<PgRow>> {
        sqlx::raw_sql(self.filled()).fetch_optional(at).await
    }

    /// No rows, but how many there were.
    ///
    /// # Errors
    /// As [`Self::fetch_all`].
    pub async fn execute(self, at: impl Executor<'_, Database = Postgres>) -> sqlx::Result<PgQueryResult> {
        sqlx::raw_sql(self.filled()).execute(at).await
    }
}

/// What a statement is planned and run under whose plan is kept. One plan for all values: one for those at hand would be made
/// anew each time. By index: a table with nothing in it is sooner read from end to end, and may have filled since. Whoever waits
/// has a second.
const KEPT: &str = "set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; \
    set local enable_bitmapscan = off; set local statement_timeout = '1s'; ";

/// A statement whose plan a session keeps, until it ends; Postgres makes the plan anew where the tables or their statistics
/// change. The session knows it by a name of its text, which so is the same statement wherever it is known.
#[derive(Clone, Debug)]
pub struct Kept {
    name: String,
    prepare: String,
    execute: String,
}

impl Kept {
    /// What a session knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The message that runs it, in a session that knows it.
    pub fn execute(&self) -> RawSql {
        sqlx::raw_sql(AssertSqlSafe(self.execute.clone()))
    }

    /// The message that runs it in a session that does not know it, and does from then on.
    pub fn prepare_and_execute(&self) -> RawSql {
        sqlx::raw_sql(AssertSqlSafe(format!("{}{}", self.prepare, self.execute)))
    }
}

/// A value as it stands in a statement.
pub trait Literal {
    /// The text of it.
    fn literal(&self) -> String;
}

impl Literal for str {
    fn literal(&self) -> String {
        // Postgres holds no such character, and would refuse the whole statement.
        escape_literal(&self.replace('\0', ""))
    }
}

impl Literal for String {
    fn literal(&self) -> String {
        self.as_str().literal()
    }
}

impl Literal for i64 {
    fn literal(&self) -> String {
        format!("'{self}'::bigint")
    }
}

impl Literal for i32 {
    fn literal(&self) -> String {
        format!("'{self}'::integer")
    }
}

impl Literal for f64 {
    fn literal(&self) -> String {
        format!("'{self}'::float8")
    }
}

impl Literal for bool {
    fn literal(&self) -> String {
        self.to_string()
    }
}

impl<T: Literal + ?Sized> Literal for &T {
    fn literal(&self) -> String {
        (**self).literal()
    }
}

impl<T: Literal> Literal for Option<T> {
    fn literal(&self) -> String {
        self.as_ref().map_or_else(|| "null".to_owned(), Literal::literal)
    }
}

/// The statement names its type, for the case that it is empty.
impl<T: Literal> Literal for [T] {
    fn literal(&self) -> String {
        format!("array[{}]", self.iter().map(Literal::literal).collect::<Vec<_>>().join(","))
    }
}

impl<T: Literal> Literal for Vec<T> {
    fn literal(&self) -> String {
        self.as_slice().literal()
    }
}

/// One row of a list of `values`.
#[derive(Clone, Debug)]
pub struct Values(String);

impl Values {
    /// The row that holds these.
    pub fn of<const N: usize>(values: [&dyn Literal; N]) -> Self {
        Self(format!("({})", values.map(Literal::literal).join(", ")))
    }
}

/// The rows of a list of `values`: at least one. A column in which all are null is of type `text`.
#[derive(Clone, Debug)]
pub struct Rows(pub Vec<Values>);

impl Literal for Rows {
    fn literal(&self) -> String {
        self.0.iter().map(|row| &*row.0).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(statement: &Statement) -> String {
        statement.filled().0
    }

    #[test]
    fn each_value_stands_in_its_place_and_is_not_read_as_one() {
        let statement = Statement::new("select $2, $1::text[], $10, $2 || 'x'");
        let statement = statement.bind(vec!["a", "it's $2"]).bind("back\\slash").bind(Some(7_i64)).bind(None::<f64>);
        let statement = (5..=10).fold(statement, |statement, number| statement.bind(i64::from(number)));
        assert_eq!(
            filled(&statement),
            "select  E'back\\\\slash', array['a','it''s $2']::text[], '10'::bigint,  E'back\\\\slash' || 'x'"
        );
    }

    #[test]
    fn a_statement_that_is_kept_is_known_by_its_text_and_not_by_its_values() {
        let of = |value: &str| {
            Statement::new("select $1, $2").without_jit().bind(value).bind(vec![1_i64]).kept(&["text", "bigint[]"])
        };
        let (one, other) = (of("it's"), of("$2"));
        assert_eq!((&one.name, &one.prepare), (&other.name, &other.prepare));
        let name = one.name;
        assert_eq!(one.prepare, format!("prepare {name} (text, bigint[]) as select $1, $2; "));
        let execute = format!("set local jit = off; {KEPT}execute {name}('it''s'::text, array['1'::bigint]::bigint[])");
        assert_eq!(one.execute, execute);
    }

    #[test]
    fn rows_of_values_stand_side_by_side() {
        let row = |name: &str, number: Option<i64>| Values::of([&name, &number]);
        let rows = Rows(vec![row("it's", None), row("b", Some(7))]);
        assert_eq!(filled(&Statement::new("values $1").bind(rows)), "values ('it''s', null), ('b', '7'::bigint)");
    }

    #[test]
    fn a_name_may_look_like_a_value() {
        let statement = Statement::new(format!("select $1 from {}.t", quoted("a$1\"$2"))).bind("x");
        assert_eq!(filled(&statement), "select 'x' from \"a$1\"\"$2\".t");
    }

    #[test]
    fn nothing_ends_its_own_quotes() {
        for (value, literal) in [("'; drop table x; --", "'''; drop table x; --'"), ("\\'", " E'\\\\'''"), ("\0", "''")]
        {
            assert_eq!(value.literal(), literal);
        }
        assert_eq!(quoted("my \"chief"), "\"my \"\"chief\"");
    }
}
