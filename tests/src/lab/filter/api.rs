//! The API, as a program on the edge host uses it.

use std::path::PathBuf;
use std::process::Command;
use std::slice;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::super::config::control_socket;
use super::super::namespace::Namespace;
use super::super::programs;
use super::Filter;

/// The control socket of a filter, whether or not the filter is there.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// Calls the API with curl, and returns the `result` of the answer.
    ///
    /// # Errors
    /// If the call is refused, or nobody answers; the text carries the answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.calls(method, path, slice::from_ref(body))?.pop().context("curl says nothing")
    }

    /// Makes a call with each of these bodies, one as soon as the one before is answered. Returns the `result` of each answer.
    ///
    /// # Errors
    /// If one is refused, or nobody answers; the text carries the answer.
    pub fn calls(&self, method: &str, path: &str, bodies: &[Value]) -> Result<Vec<Value>> {
        let mut curl = Command::new(programs::find("curl")?);
        for (place, body) in bodies.iter().enumerate() {
            // Options go no further than this; the connection does.
            curl.args((place > 0).then_some("--next"));
            curl.args(["--silent", "--show-error", "--request", method, "--unix-socket"]).arg(&self.socket);
            curl.args(["--header", "content-type: application/json", "--data", &body.to_string()]);
            curl.arg(format!("http://localhost{path}"));
        }
        let printed = programs::run(&mut curl)?;
        let answers = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        let result = |answer: serde_json::Result<Value>| {
            let answer = answer.with_context(|| format!("{method} {path}: {printed:?}"))?;
            match answer.get("result") {
                Some(result) if answer.get("success") == Some(&Value::Bool(true)) => Ok(result.clone()),
                _ => bail!("{method} {path} was refused: {answer}"),
            }
        };
        let results = answers.map(result).collect::<Result<Vec<_>>>()?;
        if results.len() != bodies.len() {
            bail!("{method} {path}: {} answers to {} calls: {printed:?}", results.len(), bodies.len());
        }
        Ok(results)
    }
}

impl Filter {
    /// Makes an API token that may read.
    ///
    /// # Errors
    /// If there is none to be had.
    pub fn token(&self, name: &str) -> Result<String> {
        Ok(self.command(&["token", "create", "--name", name, "--scope", "read"])?.trim().to_owned())
    }

    /// The metrics, as Prometheus gets them: from the admin listener in `edge`, with a token.
    ///
    /// # Errors
    /// If the token is refused.
    pub fn metrics(&self, edge: &Namespace, token: &str) -> Result<String> {
        let authorization = format!("Authorization: Bearer {token}");
        let mut curl = edge.command(programs::find("curl")?)?;
        curl.args(["--silent", "--show-error", "--fail", "--header", &authorization]);
        programs::run(curl.arg("http://127.0.0.1:8080/metrics"))
    }

    /// A way to its API that outlives it.
    #[must_use]
    pub fn api(&self) -> Api {
        Api { socket: control_socket(&self.directory) }
    }

    /// Calls the API over the control socket: see [`Api::call`].
    ///
    /// # Errors
    /// If the call is refused; the text carries the answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.api().call(method, path, body)
    }
}
