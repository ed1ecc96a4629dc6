//! The list of what a managed authority revoked, so that other systems can use it.

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls_pki_types::CertificateRevocationListDer;

use super::details;
use super::issue::{IssueError, date};
use super::managed::ManagedAuthority;
use crate::model::{CertificateRecord, Timestamp};

impl ManagedAuthority {
    /// A complete list of the given certificates that this authority issued and that are revoked; others are passed over.
    ///
    /// `number` must grow from list to list. Certificates that expired before the list is
    /// made are left out, as RFC 5280 allows, so that a list does not grow for ever.
    pub fn crl<'a>(
        &self,
        certificates: impl IntoIterator<Item = &'a CertificateRecord>,
        number: u64,
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<CertificateRevocationListDer<'static>, IssueError> {
        let id = self.authority().id();
        let listed = certificates
            .into_iter()
            .filter(|record| record.authority == id && record.status.is_revoked() && record.expires_on >= this_update);
        let entries: Result<Vec<_>, IssueError> = listed.map(|record| entry(record, this_update)).collect();
        let params = CertificateRevocationListParams {
            this_update: date(this_update)?,
            next_update: date(next_update)?,
            crl_number: SerialNumber::from_slice(details::significant(&number.to_be_bytes())),
            issuing_distribution_point: None,
            revoked_certs: entries?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(self.issuer())?.into())
    }
}

fn entry(record: &CertificateRecord, this_update: Timestamp) -> Result<RevokedCertParams, IssueError> {
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&record.serial.to_bytes()),
        revocation_time: date(record.revoked_at.unwrap_or(this_update))?,
        reason_code: None,
        invalidity_date: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CertificateStatus;
    use crate::pki::Crl;
    use crate::pki::test_support::{at, issued, zone};

    #[test]
    fn our_own_list_says_what_we_revoked_and_nothing_else() {
        let ((_, managed), (_, other)) = (zone("a.example"), zone("a.example"));
        let now = Timestamp::from(at(0));
        let revoked = |record: CertificateRecord, status| CertificateRecord { status, revoked_at: Some(now), ..record };
        let records = [
            revoked(issued(&managed), CertificateStatus::Revoked),
            revoked(issued(&managed), CertificateStatus::PendingRevocation),
            issued(&managed),
            revoked(issued(&other), CertificateStatus::Revoked),
            CertificateRecord { expires_on: at(-1).into(), ..revoked(issued(&managed), CertificateStatus::Revoked) },
        ];
        let der = managed.crl(&records, 300, now, at(60).into()).unwrap();
        let crl = Crl::parse(&der, managed.authority(), now).unwrap();
        let mut expected = [records[0].revocation_key, records[1].revocation_key];
        expected.sort();
        assert_eq!(crl.revoked(), expected);
        assert_eq!((crl.number().to_string().as_str(), crl.next_update()), ("0x012c", Some(at(60).into())));
        assert!(managed.crl([], 1, now, at(60).into()).is_ok());
    }

    #[test]
    fn a_verifier_that_knows_nothing_of_us_takes_our_list() {
        let (_, managed) = zone("a.example");
        let now = Timestamp::from(at(0));
        let [revoked, good] = [issued(&managed), issued(&managed)];
        let revoked = CertificateRecord { status: CertificateStatus::Revoked, ..revoked };
        let der = managed.crl([&revoked, &good], 1, now, at(60).into()).unwrap();
        let crl = webpki::BorrowedCertRevocationList::from_der(&der).unwrap().into();
        let verify = |record: &CertificateRecord| {
            let leaf = crate::pki::test_support::der(&record.certificate);
            let crls = [&crl];
            let options = webpki::RevocationOptionsBuilder::new(&crls).unwrap().build();
            webpki::EndEntityCert::try_from(&leaf)
                .unwrap()
                .verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    std::slice::from_ref(managed.authority().anchor()),
                    &[],
                    at(0),
                    webpki::KeyUsage::client_auth(),
                    Some(options),
                    None,
                )
                .map(|_| ())
        };
        assert_eq!(verify(&good), Ok(()));
        assert_eq!(verify(&revoked), Err(webpki::Error::CertRevoked));
    }
}
