//! Behaviour of the API, over real HTTP.

mod access;
mod bad_input;
mod certificates;
mod events;
mod firewall;
mod harness;
mod lists;
mod own;
mod rulesets;
mod writes;
