//! What the documents show has been run exactly as written.
//!
//! A block of kind `console` is what somebody types and sees: a line after `$ ` is a command, the lines after it are what it prints. All
//! blocks of a page are one session of a shell on the edge host; only `curl` runs where clients are, with a settings file of its own that
//! stands for DNS and for an authority that everybody knows.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use filter_tests::in_socket_mode;
use filter_tests::lab::{API, EDGE_IPV4, Host, Lab, Setup, WWW};

in_socket_mode!(the_page_about_mtls_rules_is_what_happens);

/// Stands before what a command prints.
const MARK: &str = "\u{1e}";

struct Step {
    command: String,
    prints: Vec<String>,
}

fn the_page_about_mtls_rules_is_what_happens(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::plain(API), Host::plain(WWW)]).start()?;
    let steps = steps(include_str!("../../../docs/create-an-mtls-rule.md"))?;
    assert!(steps.len() > 10, "the page has {} commands", steps.len());
    let printed = play(&lab, &steps)?;
    for (step, printed) in steps.iter().zip(&printed) {
        let (expected, found): (Vec<_>, Vec<_>) =
            (step.prints.iter().map(|line| shape(line)).collect(), printed.lines().map(shape).collect());
        ensure!(expected == found, "$ {}\n{printed}--- where the page has\n{}", step.command, step.prints.join("\n"));
    }
    Ok(())
}

/// The commands of a page, in their order. A line that ends in `\` goes on in the next.
fn steps(page: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("\n```console\n").skip(1) {
        let block = block.split("\n```").next().unwrap_or_default();
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ ") else {
                steps.last_mut().context("a block begins with a command")?.prints.push(line.to_owned());
                continue;
            };
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command = format!("{command}\n{}", lines.next().context("the command goes on")?);
            }
            steps.push(Step { command, prints: Vec::new() });
        }
    }
    Ok(steps)
}

/// Types the commands into a shell, and returns what each printed.
fn play(lab: &Lab, steps: &[Step]) -> Result<Vec<String>> {
    let authority = lab.directory().join("servers/authority.crt");
    let curlrc = format!("silent\nresolve = {API}:443:{EDGE_IPV4}\ncacert = {:?}\n", authority.display().to_string());
    fs::write(lab.directory().join(".curlrc"), curlrc)?;
    let bin = lab.directory().join("bin");
    fs::create_dir(&bin)?;
    std::os::unix::fs::symlink(lab.filter.binary(), bin.join("mtls-filter"))?;
    let client = lab.network.client.name();
    let mut script = format!("exec 2>&1\ncurl() {{ ip netns exec {client} curl \"$@\"; }}\n");
    for step in steps {
        script += &format!("printf '{MARK}'\n{}\n", step.command);
    }
    let mut shell = lab.network.edge.command("sh")?;
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display())).env("HOME", lab.directory());
    shell.env("MTLS_FILTER_SOCKET", lab.directory().join("control.sock")).current_dir(lab.directory());
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    shell.stdin.take().context("its input")?.write_all(script.as_bytes())?;
    let output = shell.wait_with_output()?;
    let printed = String::from_utf8(output.stdout)?;
    let printed: Vec<_> = printed.split(MARK).skip(1).map(str::to_owned).collect();
    ensure!(printed.len() == steps.len(), "{} of {} commands ran: {printed:?}", printed.len(), steps.len());
    Ok(printed)
}

/// A line without what is another every time: ids, serial numbers, dates, and the width of columns that hold them.
fn shape(line: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit() || matches!(c, '-' | ':' | '.' | 'T' | 'Z');
    let is_random = |word: &str| word.len() >= 16 && word.chars().all(is_digit);
    let words = line.split_whitespace().map(|word| if is_random(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
