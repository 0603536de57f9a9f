//! What a trigger's SQL counts: understood where it plainly counts the messages of one pg-boss queue, else not at all.

/// What a query counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) queue: String,
    /// pg-boss's schema, where the query says it.
    pub(super) schema: Option<String>,
    /// Whether the count is what the query gives, and nothing is done to it.
    pub(super) plain_count: bool,
    /// Whether active messages are counted.
    pub(super) active: bool,
    /// Conditions besides those on queue and state, as they were.
    pub(super) others: Vec<String>,
}

/// Words of pg-boss's states from which on a message is no longer waiting.
const STATES: [&str; 7] = ["created", "retry", "active", "completed", "expired", "cancelled", "failed"];

/// A word of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name or a key word, in lower case unless it was quoted.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// Anything else, a character each.
    Sign(char),
}

use Token::{Sign, Text, Word};

/// What a query counts, or why that is not plain.
pub(super) fn counted(sql: &str) -> Result<Counted, &'static str> {
    if sql.trim().is_empty() {
        return Err("there is no query");
    }
    let mut tokens = tokens(sql).ok_or("the query is not understood")?;
    while tokens.last() == Some(&Sign(';')) {
        tokens.pop();
    }
    for word in ["or", "union", "join", "group", "having", "not", "case", "with"] {
        if tokens.contains(&Word(word.into())) {
            return Err("the query does not plainly count one queue");
        }
    }
    let whole = "the query does not plainly count the messages of one pg-boss queue";
    let (select, rest) = split_once(&tokens, "from").ok_or(whole)?;
    let (table, conditions) = split_once(rest, "where").ok_or("the query names no queue")?;
    if rest.contains(&Word("from".into())) || select.first() != Some(&Word("select".into())) {
        return Err(whole);
    }
    let schema = schema(table).ok_or(whole)?;
    let mut counted =
        Counted { queue: String::new(), schema, plain_count: plain_count(&select[1..]), active: true, others: vec![] };
    if !select.contains(&Word("count".into())) {
        return Err("the query does not count");
    }
    let mut names = vec![];
    for condition in conditions_of(conditions) {
        match meaning(condition) {
            Condition::Name(queue) => names.push(queue),
            Condition::State(active) => counted.active &= active,
            Condition::Other => counted.others.push(written(condition)),
        }
    }
    match names.as_slice() {
        [queue] if !queue.is_empty() => Ok(Counted { queue: queue.clone(), ..counted }),
        _ => Err("the query does not name one queue"),
    }
}

/// The words of a statement; none where a quote is not closed.
fn tokens(sql: &str) -> Option<Vec<Token>> {
    let mut chars = sql.chars().peekable();
    let mut all = vec![];
    while let Some(first) = chars.next() {
        match first {
            '\'' | '"' => {
                let text = quoted(&mut chars, first)?;
                all.push(if first == '"' { Word(text) } else { Text(text) });
            }
            '-' if chars.peek() == Some(&'-') => while chars.next_if(|char| *char != '\n').is_some() {},
            first if first.is_whitespace() => {}
            first if first.is_alphanumeric() || first == '_' => {
                let mut word = first.to_lowercase().to_string();
                while let Some(next) = chars.next_if(|char| char.is_alphanumeric() || *char == '_') {
                    word.extend(next.to_lowercase());
                }
                all.push(Word(word));
            }
            sign => all.push(Sign(sign)),
        }
    }
    Some(all)
}

/// A text up to its closing quote, where two quotes stand for one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            char if char == quote && chars.next_if_eq(&quote).is_none() => return Some(text),
            char => text.push(char),
        }
    }
}

fn split_once<'a>(tokens: &'a [Token], word: &str) -> Option<(&'a [Token], &'a [Token])> {
    let at = tokens.iter().position(|token| *token == Word(word.into()))?;
    Some((&tokens[..at], &tokens[at + 1..]))
}

/// The schema of pg-boss's table of messages, with or without an alias.
fn schema(table: &[Token]) -> Option<Option<String>> {
    let (schema, alias) = match table {
        [Word(schema), Sign('.'), Word(job), alias @ ..] if job == "job" => (Some(schema.clone()), alias),
        [Word(job), alias @ ..] if job == "job" => (None, alias),
        _ => return None,
    };
    matches!(alias, [] | [Word(_)] | [Word(_), Word(_)]).then_some(schema)
}

/// Whether it is a count, perhaps cast, defaulted or given a name.
fn plain_count(select: &[Token]) -> bool {
    const HARMLESS: [&str; 10] = ["count", "coalesce", "cast", "as", "int", "integer", "bigint", "id", "0", "1"];
    let end = select.iter().rposition(|token| *token == Word("as".into())).unwrap_or(select.len());
    select[..end].iter().all(|token| match token {
        Word(word) => HARMLESS.contains(&word.as_str()),
        Sign(sign) => "(*):,.".contains(*sign),
        Text(_) => false,
    })
}

/// The conditions that have to hold together, without parentheses round each.
fn conditions_of(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let is_and = |token: &Token| {
        match token {
            Sign('(') => depth += 1,
            Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Word("and".into())
    };
    tokens
        .split(is_and)
        .flat_map(|condition| match condition {
            [Sign('('), inner @ .., Sign(')')]
                if !inner.contains(&Sign('(')) || inner.contains(&Word("and".into())) =>
            {
                conditions_of(inner)
            }
            condition => vec![condition],
        })
        .collect()
}

enum Condition {
    Name(String),
    /// Whether active messages satisfy it.
    State(bool),
    Other,
}

fn meaning(condition: &[Token]) -> Condition {
    let (column, rest) = match condition {
        [Word(_), Sign('.'), Word(column), rest @ ..] | [Word(column), rest @ ..] => (column.as_str(), rest),
        _ => return Condition::Other,
    };
    let (operator, texts) = compared(rest);
    match (column, operator.as_str(), texts.as_slice()) {
        ("name", "=" | "in", [queue]) => Condition::Name(queue.clone()),
        ("state", "=" | "in", states) if !states.is_empty() => {
            Condition::State(states.iter().any(|state| state == "active"))
        }
        ("state", "<" | "<=", [state]) if STATES.contains(&state.as_str()) => {
            let position = |word: &str| STATES.iter().position(|state| *state == word);
            Condition::State(position("active") < position(state) || (operator == "<=" && state == "active"))
        }
        _ => Condition::Other,
    }
}

/// The operator and the texts of a comparison with texts only; casts say nothing of interest.
fn compared(rest: &[Token]) -> (String, Vec<String>) {
    let first_text = rest.iter().position(|token| matches!(token, Text(_))).unwrap_or(rest.len());
    let operator = written(&rest[..first_text]).replace([' ', '('], "");
    let mut texts = vec![];
    let mut cast = false;
    for token in &rest[first_text..] {
        match token {
            Text(text) => texts.push(text.clone()),
            Sign(':') => cast = true,
            Sign(',' | ')') => cast = false,
            Sign('.' | '[' | ']') | Word(_) if cast => {}
            _ => return (String::new(), vec![]),
        }
    }
    (operator, texts)
}

/// Tokens as people read them.
fn written(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let glued = matches!(
            (before, token),
            (None | Some(Sign('(' | '.' | ':')), _)
                | (_, Sign('.' | ',' | ')' | ':'))
                | (Some(Word(_)), Sign('('))
                | (Some(Sign('<' | '>' | '!')), Sign('=' | '>'))
        );
        text.push_str(if glued { "" } else { " " });
        match token {
            Word(word) => text.push_str(word),
            Text(quoted) => text.push_str(&format!("'{quoted}'")),
            Sign(sign) => text.push(*sign),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        match counted(sql) {
            Ok(Counted { queue, schema, plain_count, active, others }) => {
                format!("{}/{queue} plain={plain_count} active={active} {others:?}", schema.unwrap_or_default())
            }
            Err(why) => why.into(),
        }
    }

    #[test]
    fn a_query_that_plainly_counts_one_queue_is_understood() {
        for (sql, wanted) in [
            (
                "SELECT count(*) FROM pgboss.job WHERE name = 'mail' AND state = 'created'",
                "pgboss/mail plain=true active=false []",
            ),
            (
                "select count(1)::int as depth from pgboss.job j where j.name='Mail/1' and j.state in ('created','retry');",
                "pgboss/Mail/1 plain=true active=false []",
            ),
            (
                "SELECT COALESCE(COUNT(id), 0) FROM \"boss\".\"job\" AS j WHERE (j.name = 'it''s'::text) AND (state < 'active'::pgboss.job_state)",
                "boss/it's plain=true active=false []",
            ),
            ("select count(*) from job where state <= 'active' and name in ('a')", "/a plain=true active=true []"),
            ("select count(*) from pgboss.job where name = 'a' -- all of them", "pgboss/a plain=true active=true []"),
            (
                "select ceil(count(*)::decimal / 16) from pgboss.job where name='a' and state < 'completed' and start_after <= now()",
                "pgboss/a plain=false active=true [\"start_after <= now()\"]",
            ),
        ] {
            assert_eq!(told(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn what_is_not_plain_is_not_guessed() {
        for (sql, wanted) in [
            ("", "there is no query"),
            ("select count(*) from pgboss.job where name = 'open", "the query is not understood"),
            ("select count(*) from pgboss.job where name = 'a' or name = 'b'", "does not plainly"),
            ("select count(*) from pgboss.job where name in ('a', 'b')", "does not name one queue"),
            ("select count(*) from pgboss.job where name like 'a%'", "does not name one queue"),
            ("select count(*) from pgboss.job where name != 'a'", "does not name one queue"),
            ("select count(*) from pgboss.job where name = 'a' || 'b'", "does not name one queue"),
            ("select count(*) from pgboss.job where state = 'created'", "does not name one queue"),
            ("select count(*) from pgboss.job", "names no queue"),
            ("select max(priority) from pgboss.job where name = 'a'", "does not count"),
            ("select count(*) from tasks where name = 'a'", "does not plainly"),
            ("select count(*) from pgboss.job where id in (select id from x where name = 'a')", "does not plainly"),
            ("delete from pgboss.job where name = 'a'", "does not plainly"),
        ] {
            assert!(told(sql).contains(wanted), "{sql}: {}", told(sql));
        }
    }
}
