//! Functions of addresses.

use std::net::IpAddr;

use super::Arguments;
use crate::ast::Literal;
use crate::value::Value;

pub(super) fn check_cidr(index: usize, literal: &Literal) -> Result<(), String> {
    check_bits(literal, if index == 1 { 32 } else { 128 })
}

pub(super) fn check_cidr6(_: usize, literal: &Literal) -> Result<(), String> {
    check_bits(literal, 128)
}

fn check_bits(literal: &Literal, max: i64) -> Result<(), String> {
    match literal {
        Literal::Int(bits) if !(1..=max).contains(bits) => {
            Err(format!("the prefix length must be between 1 and {max}, but is {bits}"))
        }
        _ => Ok(()),
    }
}

pub(super) fn cidr<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let (address, v4_bits, v6_bits) = (arguments.ip(0)?, arguments.int(1)?, arguments.int(2)?);
    network(address, v4_bits, v6_bits).map(Value::Ip)
}

pub(super) fn cidr6<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let (address, v6_bits) = (arguments.ip(0)?, arguments.int(1)?);
    network(address, 32, v6_bits).map(Value::Ip)
}

/// The address with all but its first bits zero; `None` for a prefix length its family does not have.
fn network(address: IpAddr, v4_bits: i64, v6_bits: i64) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let bits = u32::try_from(v4_bits).ok().filter(|bits| (1..=32).contains(bits))?;
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?)?;
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let bits = u32::try_from(v6_bits).ok().filter(|bits| (1..=128).contains(bits))?;
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?)?;
            IpAddr::V6((u128::from(address) & mask).into())
        }
    })
}
