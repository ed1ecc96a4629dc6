//! `check`, and what the command line says when something is wrong.

use std::fs;

use anyhow::Result;
use filter_tests::lab::{API, Setup, WWW};
use filter_tests::on_every_datapath;

on_every_datapath!(
    check_accepts_the_file_that_the_filter_runs_with,
    check_names_every_mistake_with_line_and_column,
    a_filter_does_not_start_on_a_file_with_a_mistake,
    the_command_line_says_in_one_line_that_no_filter_runs,
);

fn check_accepts_the_file_that_the_filter_runs_with(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let file = lab.filter.config_file().to_string_lossy().into_owned();
    lab.filter.command(&["check", "--config", &file])?;
    Ok(())
}

/// Makes three mistakes in the filter's file. Returns the new file, and where each mistake is.
fn three_mistakes(good: &str) -> (String, Vec<String>) {
    let bad = good
        .replace("workers = 2", "workers = \"two\"")
        .replace("name = \"www.example.com\"", "name = \"www..example.com\"")
        .replace("mtls = true\n[[zone.host]]\nname = \"other", "mtsl = true\n[[zone.host]]\nname = \"other");
    let place = |needle: &str, within: &str| {
        let (index, line) = bad.lines().enumerate().find(|(_, line)| line.contains(needle)).expect("the mistake");
        let column = line.find(within).expect("the mistaken value") + 1;
        format!(":{}:{column}: ", index + 1)
    };
    let places = vec![place("workers", "\"two\""), place("www..", "\"www.."), place("mtsl", "mtsl")];
    (bad, places)
}

fn check_names_every_mistake_with_line_and_column(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let (bad, places) = three_mistakes(&fs::read_to_string(lab.filter.config_file())?);
    let file = lab.directory().join("bad.toml");
    fs::write(&file, bad)?;
    let outcome = lab.filter.attempt(&["check", "--config", &file.to_string_lossy()])?;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let said = format!("{}{}", outcome.output, outcome.errors);
    for place in &places {
        let start = format!("{}{place}", file.display());
        assert!(said.lines().any(|line| line.starts_with(&start)), "no line starts with {start}:\n{said}");
    }
    let problems = said.lines().filter(|line| line.starts_with(&*file.to_string_lossy())).count();
    assert_eq!(problems, places.len(), "each once:\n{said}");
    Ok(())
}

fn a_filter_does_not_start_on_a_file_with_a_mistake(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.kill()?;
    let (bad, places) = three_mistakes(&fs::read_to_string(lab.filter.config_file())?);
    fs::write(lab.filter.config_file(), bad)?;
    let error = format!("{:#}", lab.filter.start_again(&lab.network.edge).expect_err("it must not start"));
    assert!(places.iter().all(|place| error.contains(place)), "every mistake is named: {error}");
    assert!(lab.curl(WWW).run()?.response.is_none(), "nothing listens");
    Ok(())
}

fn the_command_line_says_in_one_line_that_no_filter_runs(setup: Setup) -> Result<()> {
    let mut lab = setup.start()?;
    lab.filter.kill()?;
    for arguments in
        [&["status"][..], &["rule", "list"], &["cert", "list"], &["rule", "create", "--name", "x", "--host", API]]
    {
        let outcome = lab.filter.attempt(arguments)?;
        assert_ne!(outcome.code, Some(0), "{arguments:?}");
        assert_eq!(outcome.errors.trim_end().lines().count(), 1, "{arguments:?}: {outcome:?}");
        assert!(outcome.errors.contains("control.sock"), "the socket is named: {outcome:?}");
    }
    Ok(())
}
