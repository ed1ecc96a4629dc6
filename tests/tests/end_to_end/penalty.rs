//! Who is blocked again and again is dropped by XDP for a while.

use std::time::Duration;

use anyhow::Result;
use filter_tests::lab::{API, CLIENT_IPV4, Curl, Datapath, EDGE_IPV6, Lab, Outcome, Setup, patience, run};

use crate::waiting::wait_for;

/// A penalty that can be seen and waited out.
const PENALTY: Duration = Duration::from_secs(2);

/// A filter that drops whoever was blocked three times, with [`API`] protected.
fn lab(setup: Setup, penalty: &str) -> Result<Lab> {
    let lab = setup.penalty(&format!("blocked = 3\n{penalty}")).start()?;
    lab.filter.protect(API)?;
    Ok(lab)
}

/// A client that does not wait long.
fn client(lab: &Lab) -> Curl<'_> {
    lab.curl(API).connect_timeout(Duration::from_secs(1))
}

fn block_three_times(lab: &Lab) -> Result<()> {
    for _ in 0..3 {
        assert_eq!(client(lab).run()?.outcome, Outcome::Status(403));
    }
    Ok(())
}

/// The addresses in the box.
fn listed(lab: &Lab) -> Result<Vec<String>> {
    let text = lab.filter.command(&["penalty", "list"])?;
    Ok(text.lines().skip(1).filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect())
}

fn wait_until_dropped(lab: &Lab) -> Result<()> {
    wait_for("in the box", || Ok(!listed(lab)?.is_empty()))
}

#[test]
fn an_address_that_is_blocked_too_often_is_dropped_until_it_is_pardoned() -> Result<()> {
    run(Datapath::Native, |setup| {
        let lab = lab(setup, "drop_for = \"10m\"")?;
        block_three_times(&lab)?;
        wait_until_dropped(&lab)?;
        assert_eq!(listed(&lab)?, [CLIENT_IPV4.to_string()]);
        assert!(client(&lab).run()?.response.is_none(), "not even a refusal");
        assert!(lab.filter.status()?.xdp("punished") > 0);
        assert_eq!(client(&lab).address(EDGE_IPV6).run()?.outcome, Outcome::Status(403), "another address");

        let pardoned = lab.filter.command(&["penalty", "pardon", &CLIENT_IPV4.to_string()])?;
        assert_eq!(pardoned, format!("{CLIENT_IPV4} is served again\n"));
        assert_eq!(client(&lab).run()?.outcome, Outcome::Status(403));
        for (address, why) in [("192.0.2.1", "is not in the penalty box"), ("somewhere", "invalid value")] {
            let refused = lab.filter.attempt(&["penalty", "pardon", address])?;
            assert!(refused.code != Some(0) && refused.errors.contains(why), "{refused:?}");
        }
        Ok(())
    })
}

#[test]
fn a_penalty_ends_by_itself() -> Result<()> {
    run(Datapath::Native, |setup| {
        let lab = lab(setup, &format!("drop_for = \"{}s\"", patience(PENALTY).as_secs()))?;
        block_three_times(&lab)?;
        wait_until_dropped(&lab)?;
        wait_for("served again", || Ok(client(&lab).run()?.outcome == Outcome::Status(403)))?;
        wait_for("the list is empty", || Ok(listed(&lab)?.is_empty()))
    })
}

#[test]
fn an_address_that_is_vouched_for_is_never_dropped() -> Result<()> {
    run(Datapath::Native, |setup| {
        let lab = lab(setup, "allow = [\"10.77.1.0/24\"]")?;
        for _ in 0..3 {
            block_three_times(&lab)?;
            for _ in 0..3 {
                assert_eq!(client(&lab).address(EDGE_IPV6).run()?.outcome, Outcome::Status(403));
            }
            // That the other address of the same client is dropped shows that verdicts were counted.
            if listed(&lab)?.is_empty() {
                wait_until_dropped(&lab)?;
            }
            assert!(listed(&lab)?.iter().all(|address| address.contains(':')), "{:?}", listed(&lab)?);
            lab.filter.command(&["penalty", "pardon", &listed(&lab)?.concat()])?;
        }
        Ok(())
    })
}

#[test]
fn without_xdp_nobody_is_dropped_and_status_says_so() -> Result<()> {
    run(Datapath::Socket, |setup| {
        let lab = lab(setup, "drop_for = \"10m\"")?;
        for _ in 0..3 {
            block_three_times(&lab)?;
        }
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(client(&lab).run()?.outcome, Outcome::Status(403));
        assert!(lab.filter.status()?.datapath_notes().iter().any(|note| note.contains("penalty")));
        Ok(())
    })
}
