//! The machine itself, which a lab must leave as it was.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::programs::ip;
use super::registry;

/// What a lab must leave behind: nothing. Made before everything else of a lab and dropped after it, it panics where a namespace
/// is left or a link of the host has changed.
#[derive(Debug)]
pub(super) struct Aftermath {
    lab: String,
    links: HostLinks,
}

impl Aftermath {
    /// Looks at the host before the lab `name` is made.
    pub(super) fn of(lab: &str) -> Result<Self> {
        Ok(Self { lab: lab.to_owned(), links: HostLinks::look()? })
    }

    fn assert_nothing_left(&self) -> Result<()> {
        let left = registry::namespaces_of(&self.lab)?;
        if !left.is_empty() {
            bail!("namespaces of the lab are left: {left:?}");
        }
        self.links.assert_unchanged()
    }
}

impl Drop for Aftermath {
    fn drop(&mut self) {
        match self.assert_nothing_left() {
            Err(error) if std::thread::panicking() => eprintln!("{error:#}"),
            Err(error) => panic!("{error:#}"),
            Ok(()) => {}
        }
    }
}

/// What was seen of the host's links at one moment.
#[derive(Debug)]
struct HostLinks(Vec<Link>);

#[derive(Debug, PartialEq)]
struct Link {
    name: String,
    index: u64,
    mtu: u64,
    up: bool,
    /// The XDP program attached, as `ip` shows it; null where there is none.
    xdp: Value,
}

impl HostLinks {
    /// Looks at the links now.
    fn look() -> Result<Self> {
        let listed: Value = serde_json::from_str(&ip(&["-json", "link", "show"])?).context("`ip -json link show`")?;
        let links = listed.as_array().context("`ip -json link show` did not print a list")?;
        Ok(Self(links.iter().filter_map(Link::read).collect()))
    }

    /// Compares with the links now. Links that others have added or removed meanwhile are their business, unless a new one
    /// carries a name of the lab.
    fn assert_unchanged(&self) -> Result<()> {
        let now = Self::look()?;
        for link in &now.0 {
            match self.0.iter().find(|before| before.index == link.index) {
                Some(before) if before != link => {
                    bail!("the lab changed a link of the host: {before:?} became {link:?}")
                }
                None if is_of_the_lab(&link.name) => bail!("the lab left the link {} on the host", link.name),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

impl Link {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            name: value.get("ifname")?.as_str()?.to_owned(),
            index: value.get("ifindex")?.as_u64()?,
            mtu: value.get("mtu")?.as_u64()?,
            up: value.get("flags")?.as_array()?.iter().any(|flag| flag == "UP"),
            xdp: value.get("xdp").cloned().unwrap_or(Value::Null),
        })
    }
}

fn is_of_the_lab(name: &str) -> bool {
    ["client0", "edge0", "edge1", "origin0"].contains(&name)
}
