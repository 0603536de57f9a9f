//! Statements with their values in them, each one message to Postgres and one answer.
//!
//! A pooler in transaction mode may give each message to another connection of the server. What the usual way sends in
//! two (prepare, then bind) may then be bound to somebody else's statement; so values are written into the text, as
//! literals, and a statement is one simple query.

use std::fmt::Write;

use futures::stream::BoxStream;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use sha2::{Digest, Sha224};
use sqlx::{
    AssertSqlSafe, Executor, Postgres,
    postgres::{PgQueryResult, PgRow},
};

/// A name in double quotes, safe to stand in a statement.
pub fn quoted(name: &str) -> String {
    escape_identifier(name)
}

/// The channel that a text has a notification of: a prefix and 24 hexadecimal digits of its hash, as pg-boss 12 derives
/// its own.
pub fn channel(prefix: &str, text: &str) -> String {
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
