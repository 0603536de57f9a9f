//! `--watch`: the same page again and again, also over a restart of the service.

use std::{process::ExitCode, time::Duration};

use anyhow::{bail, ensure};
use clap::Args;

use crate::{
    cli::{
        globals::Globals,
        output::{Format, Output, print, terminal, warn},
        page::{Page, drawn},
        server::{Asking, is_passing},
    },
    clock::sleep,
    harmless::harmless,
};

/// More often than this nothing has changed, and ten thousand JobConfigs are a large page.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Whether and how often to look again.
#[derive(Debug, Args)]
pub(super) struct Watching {
    /// Look again and again, until Ctrl-C; into a pipe goes only what has changed.
    #[arg(short, long)]
    watch: bool,
    /// Between two looks; at least 1s.
    #[arg(long, default_value = "2s", value_parser = interval, requires = "watch", value_name = "DURATION")]
    interval: Duration,
}

impl Watching {
    /// How long to wait between two looks; none for a single one.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watch.then_some(self.interval)
    }
}

/// A duration as people write it.
pub(super) fn duration(text: &str) -> anyhow::Result<Duration> {
    let Ok(duration) = humantime::parse_duration(text) else { bail!("it is no duration; write it such as 5s or 1m") };
    Ok(duration)
}

fn interval(text: &str) -> anyhow::Result<Duration> {
    let interval = duration(text)?;
    ensure!(interval >= INTERVAL_MIN, "at least {INTERVAL_MIN:?} has to be between two looks");
    Ok(interval)
}

/// Shows a page until it is interrupted, or whoever answers says no.
pub(super) async fn watch(
    page: Page<'_>,
    asking: &Asking,
    globals: &Globals,
    interval: Duration,
) -> anyhow::Result<ExitCode> {
    let mut screen = Screen { output: asking.output, before: None, is_silent: false };
    let mut way = None;
    loop {
        let looked = async {
            let known = match way.take() {
                Some(known) => known,
                None => asking.server.way(globals).await?,
            };
            Ok((page.ask(&known).await?, known))
        };
        match looked.await {
            Ok((told, known)) => {
                way = Some(known);
                let (text, lines) = drawn(page, &told, asking.output)?;
                screen.show(&text, lines)?;
            }
            // A service that has answered once is waited for.
            Err(error) if screen.before.is_some() && is_passing(&error) => screen.miss(&error)?,
            Err(error) => return Err(error),
        }
        sleep(interval).await;
    }
}

/// What was shown last.
struct Screen {
    output: Output,
    before: Option<(String, Vec<String>)>,
    /// The last look was in vain.
    is_silent: bool,
}

impl Screen {
    fn show(&mut self, text: &str, lines: Vec<String>) -> anyhow::Result<()> {
        let was_silent = std::mem::take(&mut self.is_silent);
        let known = self.before.replace((text.to_owned(), lines.clone()));
        if self.redraws() {
            return redraw(text, None);
        }
        if was_silent {
            warn("job-chief answers again");
        }
        let known = known.map(|(_, lines)| lines).unwrap_or_default();
        let changed = changed(text, &lines, &known, self.output.format());
        if changed.is_empty() { Ok(()) } else { print(&changed) }
    }

    fn miss(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        let was_silent = std::mem::replace(&mut self.is_silent, true);
        let told = format!("{error:#}; asking again");
        if self.redraws() {
            let (text, _) = self.before.as_ref().expect("it has answered once");
            return redraw(text, Some(&told));
        }
        if !was_silent {
            warn(&told);
        }
        Ok(())
    }

    /// A table on a terminal is drawn over the last one.
    fn redraws(&self) -> bool {
        self.output == Output::Table && terminal().is_some()
    }
}

/// Of a text for people the lines that are new, of one for programs all of it, if anything is new.
fn changed(text: &str, lines: &[String], known: &[String], format: Option<Format>) -> String {
    if lines == known {
        return String::new();
    }
    match format {
        Some(Format::Json) => text.to_owned(),
        Some(Format::Yaml) => format!("---\n{text}"),
        None => {
            // Columns may have become wider: only words count.
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let known: Vec<Vec<String>> = known.iter().map(|line| words(line)).collect();
            let new = text.lines().zip(lines).filter(|(_, line)| !known.contains(&words(line)));
            new.map(|(line, _)| line).collect::<Vec<_>>().join("\n")
        }
    }
}

/// Draws over what is there, without a flicker, and no more lines than the terminal has.
fn redraw(text: &str, missed: Option<&str>) -> anyhow::Result<()> {
    const HOME: &str = "\u{1b}[H";
    const REST_OF_LINE: &str = "\u{1b}[K";
    const REST_OF_SCREEN: &str = "\u{1b}[J";
    let (width, height) = terminal().unwrap_or((80, 24));
    let style = anstyle::AnsiColor::Yellow.on_default();
    let missed = missed.map(|missed| {
        let shown: String = harmless(missed).chars().take(width * 2).collect();
        format!("{style}{shown}{style:#}")
    });
    let room = height.saturating_sub(if missed.is_some() { 4 } else { 2 }).max(1);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let more = lines.len().saturating_sub(room);
    let more = (more > 0).then(|| format!("… and {more} lines more: --output json has all"));
    let shown = lines.iter().take(room).map(|line| (*line).to_owned()).chain(more).chain(missed);
    let body: String = shown.map(|line| format!("{line}{REST_OF_LINE}\n")).collect();
    steer(&format!("{HOME}{body}{REST_OF_SCREEN}"))
}

/// Writes to the terminal what moves its cursor, also where colours are not wanted.
fn steer(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let stdout = std::io::stdout();
    let plain = anstream::AutoStream::choice(&stdout) == anstream::ColorChoice::Never;
    let text = if plain { without_colours(text) } else { text.to_owned() };
    let mut stdout = stdout.lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Colours end with `m`; what moves the cursor does not.
fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.find(|char: char| char.is_ascii_alphabetic()) {
            Some(end) if part[end..].starts_with('m') => plain.push_str(&part[end + 1..]),
            _ => {
                plain.push('\u{1b}');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn into_a_pipe_goes_only_what_has_changed() {
        let (before, after) = ("NAME  N\na     1\nb     1", "NAME     N\na        1\nb        2\nlonger   1");
        assert_eq!(changed(before, &lines(before), &[], None), before);
        assert_eq!(changed(after, &lines(after), &lines(before), None), "b        2\nlonger   1");
        assert_eq!(changed(after, &lines(after), &lines(after), None), "");
        assert_eq!(changed("{}", &lines("x"), &lines("y"), Some(Format::Yaml)), "---\n{}");
    }

    #[test]
    fn without_colours_the_cursor_still_moves() {
        assert_eq!(without_colours("\u{1b}[Ha\u{1b}[31mb\u{1b}[0m\u{1b}[K"), "\u{1b}[Hab\u{1b}[K");
    }

    #[test]
    fn an_interval_has_a_least_one() {
        assert_eq!(interval("5s").expect("one"), Duration::from_secs(5));
        for text in ["0s", "100ms", "often"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
