//! The screen of `top`.

use std::time::Duration;

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::Look;
use super::rates::{HOST_HEADINGS, HostRate, REASON_HEADINGS, Rates, ReasonRate};
use crate::cli::client::Client;

/// Shows rates until the operator has seen enough.
pub(super) async fn show(client: &Client, first: Look, interval: Duration) -> anyhow::Result<()> {
    let mut terminal =
        ratatui::try_init().context("`top` needs a terminal; `top --once` prints what happened in one interval")?;
    let shown = refresh(&mut terminal, client, first, interval).await;
    ratatui::restore();
    shown
}

async fn refresh(
    terminal: &mut DefaultTerminal,
    client: &Client,
    first: Look,
    interval: Duration,
) -> anyhow::Result<()> {
    let mut before = first;
    let mut rates = before.since(&before);
    loop {
        terminal.draw(|frame| draw(frame, &rates))?;
        // Keys are waited for on a thread of their own: the terminal has no other way.
        if tokio::task::spawn_blocking(move || is_done(interval)).await?? {
            return Ok(());
        }
        match Look::at(client).await {
            Ok(now) => {
                rates = now.since(&before);
                before = now;
            }
            // As while it is restarted: what it counts then begins again.
            Err(error) => rates = Rates::unknown(&error),
        }
    }
}

/// Waits for the next look; true if the operator wants to end before it.
fn is_done(interval: Duration) -> std::io::Result<bool> {
    let start = std::time::Instant::now();
    while let Some(left) = interval.checked_sub(start.elapsed()) {
        if event::poll(left)?
            && let Event::Key(key) = event::read()?
            && ends(key)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ends(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn draw(frame: &mut Frame<'_>, rates: &Rates) {
    let reasons = u16::try_from(rates.reasons.len()).unwrap_or(u16::MAX).saturating_add(3);
    let [summary, hosts, reasons, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Max(reasons), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Line::from(rates.summary.as_str()).bold(), summary);
    let rows = rates.hosts.iter().map(HostRate::cells).map(Row::new);
    frame.render_widget(table(" hosts that are passed through ", HOST_HEADINGS, rows), hosts);
    let rows = rates.reasons.iter().map(ReasonRate::cells).map(Row::new);
    frame.render_widget(table(" by reason ", REASON_HEADINGS, rows), reasons);
    frame.render_widget(Line::from("q ends").dim(), keys);
}

/// A table in which the names get the room that is left.
fn table<'a, const N: usize>(title: &'a str, headings: [&'a str; N], rows: impl Iterator<Item = Row<'a>>) -> Table<'a> {
    let widths = headings.map(|heading| match heading {
        "HOST" | "REASON" => Constraint::Fill(1),
        _ => Constraint::Length(15),
    });
    Table::new(rows, widths).header(Row::new(headings).style(Style::new().bold())).block(Block::bordered().title(title))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_screen_has_the_summary_both_tables_and_the_way_out() {
        let rates = Rates { summary: "what it is".to_owned(), hosts: Vec::new(), reasons: Vec::new() };
        let mut terminal = Terminal::new(TestBackend::new(100, 12)).unwrap();
        terminal.draw(|frame| draw(frame, &rates)).unwrap();
        let screen = terminal.backend().to_string();
        for expected in ["what it is", "FROM ORIGINS/S", "by reason", "q ends"] {
            assert!(screen.contains(expected), "{expected} is not on\n{screen}");
        }
    }

    #[test]
    fn q_escape_and_control_c_end_it() {
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert!(ends(key(KeyCode::Char('q'))) && ends(key(KeyCode::Esc)));
        assert!(ends(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!ends(key(KeyCode::Char('c'))) && !ends(key(KeyCode::Enter)));
    }
}
