//! Behaviour of the API, over real HTTP.

mod access;
mod bad_input;
mod certificates;
mod crls;
mod deployment;
mod events;
mod firewall;
mod graphql;
mod harness;
mod lists;
mod own;
mod published_crl;
mod rulesets;
mod writes;
