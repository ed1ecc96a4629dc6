//! How things are shown on more than one page of the API.

use pem::{EncodeConfig, LineEnding, Pem};

/// A certificate, in PEM.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new("CERTIFICATE", der), lines)
}
