//! What the daemon says about itself.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

/// What `status` says, as JSON.
#[derive(Clone, Debug)]
pub struct Status(pub(super) Value);

impl Status {
    /// The generation of the rules that are in force.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn generation(&self) -> Result<u64> {
        let found = self.0.get("generation").and_then(Value::as_u64);
        found.with_context(|| format!("status names no generation: {}", self.0))
    }

    /// The generation that each worker runs.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn worker_generations(&self) -> Result<Vec<u64>> {
        let workers = self.0.get("workers").and_then(Value::as_array);
        let workers = workers.with_context(|| format!("status lists no workers: {}", self.0))?;
        let generations = workers.iter().filter_map(|worker| worker.get("generation").and_then(Value::as_u64));
        Ok(generations.collect())
    }

    /// The mode that packets are handled in.
    ///
    /// # Errors
    /// If `status` does not say.
    pub fn datapath(&self) -> Result<String> {
        let found = self.0.pointer("/datapath/mode").and_then(Value::as_str);
        found.map(str::to_owned).with_context(|| format!("status names no datapath: {}", self.0))
    }

    /// What it says about the way packets are handled: why it is nothing better, and what cannot be spliced.
    #[must_use]
    pub fn datapath_notes(&self) -> Vec<String> {
        let notes = self.0.pointer("/datapath/notes").and_then(Value::as_array).into_iter().flatten();
        notes.filter_map(|note| note.as_str().map(str::to_owned)).collect()
    }

    /// The generation that the XDP maps agree with; `None` without XDP.
    #[must_use]
    pub fn xdp_generation(&self) -> Option<u64> {
        self.0.pointer("/datapath/generation").and_then(Value::as_u64)
    }

    /// The counters of the XDP program by reason, in the order `status` has them; empty without XDP.
    #[must_use]
    pub fn xdp_counters(&self) -> Vec<(String, u64)> {
        self.counters("packets", "/packets")
    }

    /// Packets that the XDP program counted under one reason.
    #[must_use]
    pub fn xdp(&self, reason: &str) -> u64 {
        self.xdp_counters().into_iter().find(|(name, _)| name == reason).map_or(0, |(_, count)| count)
    }

    /// What is said of a host that has origins: `spliced`, `relayed` or `terminated`.
    ///
    /// # Errors
    /// If nothing is said of it.
    pub fn passed(&self, host: &str) -> Result<String> {
        let hosts = self.0.pointer("/passed_through/hosts").and_then(Value::as_array).into_iter().flatten();
        let found = hosts.filter(|found| found["host"] == host).find_map(|found| found["now"].as_str());
        found.map(str::to_owned).with_context(|| format!("status says nothing of {host}: {}", self.0))
    }

    /// Whether an origin answers.
    ///
    /// # Errors
    /// If nothing is said of it.
    pub fn origin_is_up(&self, origin: SocketAddr) -> Result<bool> {
        let origins = self.0.pointer("/passed_through/origins").and_then(Value::as_array).into_iter().flatten();
        let found =
            origins.filter(|found| found["address"] == origin.to_string()).find_map(|found| found["up"].as_bool());
        found.with_context(|| format!("status says nothing of {origin}: {}", self.0))
    }

    /// How often the workers counted `reason`.
    #[must_use]
    pub fn requests(&self, reason: &str) -> u64 {
        self.request_counters().into_iter().find(|(name, _)| name == reason).map_or(0, |(_, count)| count)
    }

    /// The counters of requests by reason.
    #[must_use]
    pub fn request_counters(&self) -> Vec<(String, u64)> {
        self.counters("requests", "")
    }

    /// Each name of the object `kind` with the number that `pointer` leads to.
    fn counters(&self, kind: &str, pointer: &str) -> Vec<(String, u64)> {
        let entries = self.0.get(kind).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(name, count)| Some((name.clone(), count.pointer(pointer)?.as_u64()?))).collect()
    }
}
