//! Behaviour of the API, over real HTTP.

mod access;
mod bad_input;
mod certificates;
mod deployment;
mod events;
mod firewall;
mod graphql;
mod harness;
mod lists;
mod own;
mod rulesets;
