//! What operators do to the CRL of an authority. Each is a change like any other, so it has a generation, an author and a record in the
//! audit; the list that comes with it is verified before the change is made, and in force when it is.

use std::sync::Arc;

use super::{CrlRefusal, Crls, Taken, Way};
use crate::control::{Changed, Control, ControlError, Intent};
use crate::model::{
    AuthorityId, AuthorityKind, Change, CrlRecord, CrlSource, CrlUpload, ModelError, RecordKey, State, Timestamp,
    WhenStale,
};
use crate::pki::{Authority, Crl};
use crate::store::public_authority;

/// How often a server is asked if nobody said: every hour.
pub(crate) const REFRESH_SECONDS: u32 = 3_600;

/// What an operator asks for of an authority's CRL.
#[derive(Clone, Debug)]
pub(crate) struct WantedCrl {
    /// Where complete lists come from.
    pub(crate) source: Option<CrlSource>,
    /// Where delta lists come from.
    pub(crate) delta_source: Option<CrlSource>,
    /// How often a server is asked.
    pub(crate) refresh_seconds: u32,
    /// What to do without a list that is current.
    pub(crate) when_stale: WhenStale,
}

impl Control {
    /// What is known of the CRLs.
    pub(crate) fn crls(&self) -> &Arc<Crls> {
        &self.crls
    }

    /// Has the CRL of an uploaded authority loaded and watched. A source that is new must have a good list: the certificates of the
    /// authority are refused without one.
    pub(crate) async fn set_crl(
        self: &Arc<Self>,
        intent: Intent,
        id: AuthorityId,
        wanted: WantedCrl,
    ) -> Result<Changed<()>, ControlError> {
        let (state, _) = self.state().await;
        let authority = uploaded(&state, id)?;
        let before = state.crl(id);
        let is_loaded = self.crls.report(id).is_some_and(|report| report.crl.is_some());
        let is_new = !is_loaded || before.is_none_or(|before| before.source != wanted.source);
        let list = match &wanted.source {
            Some(source) if is_new => {
                let crl = self.crls.first(authority, source).await?;
                self.crls.outcome(id, &crl)?;
                Some(crl)
            }
            None if !is_loaded => return Err(CrlRefusal::NoSource.into()),
            Some(_) | None => None,
        };
        self.make_crl(intent, id, list, move |before| CrlRecord {
            authority: id,
            source: wanted.source,
            delta_source: wanted.delta_source,
            refresh_seconds: wanted.refresh_seconds,
            when_stale: wanted.when_stale,
            uploaded: before.and_then(|before| before.uploaded.clone()),
            modified: Timestamp::now(),
        })
        .await
    }

    /// Puts a list, complete or delta, in force that an operator sends. An authority without a CRL has one from then on.
    pub(crate) async fn upload_crl(
        self: &Arc<Self>,
        intent: Intent,
        id: AuthorityId,
        bytes: Vec<u8>,
    ) -> Result<Changed<()>, ControlError> {
        let (state, _) = self.state().await;
        let authority = uploaded(&state, id)?;
        let checked = match Crls::parse(authority, bytes).await {
            Ok(crl) => self.crls.outcome(id, &crl).map(|taken| (crl, taken)),
            Err(refusal) => Err(refusal),
        };
        self.crls.note(id, Way::Upload, checked.as_ref().err());
        let (crl, _) = checked?;
        let upload = CrlUpload { number: crl.number().to_string(), sha256: hex(crl.digest()), at: Timestamp::now() };
        let changed = self
            .make_crl(intent, id, Some(crl), move |before| {
                let usual = CrlRecord {
                    authority: id,
                    source: None,
                    delta_source: None,
                    refresh_seconds: REFRESH_SECONDS,
                    when_stale: WhenStale::default(),
                    uploaded: None,
                    modified: upload.at,
                };
                let before = before.cloned().unwrap_or(usual);
                CrlRecord { modified: upload.at, uploaded: Some(upload), ..before }
            })
            .await?;
        self.crls.note(id, Way::Upload, None);
        Ok(changed)
    }

    /// An authority has no CRL any more: its certificates are judged without one.
    pub(crate) async fn remove_crl(
        self: &Arc<Self>,
        intent: Intent,
        id: AuthorityId,
    ) -> Result<Changed<()>, ControlError> {
        let plan = move |_: &State| Ok((vec![Change::RemoveCrl(id)], ()));
        self.change(intent, plan).await
    }

    /// Looks at every source of a CRL now; what is new is in force when this returns.
    pub(crate) async fn refresh_crl(self: &Arc<Self>, id: AuthorityId) -> Result<(), ControlError> {
        let report = self.crls.report(id).ok_or(ModelError::NotFound(RecordKey::Crl(id)))?;
        let ways = [(Way::Source, &report.record.source), (Way::Delta, &report.record.delta_source)];
        let mut outcome = Ok(());
        for (way, _) in ways.into_iter().filter(|(_, source)| source.is_some()) {
            let checked: Result<Taken, CrlRefusal> = self.crls.check(id, way).await;
            outcome = outcome.and(checked.map(drop));
        }
        let fenced = self.publisher.close_revoked().await;
        let (_, generation) = self.state().await;
        fenced.map_err(|error| ControlError::Publish { generation, error })?;
        Ok(outcome?)
    }

    async fn make_crl(
        self: &Arc<Self>,
        intent: Intent,
        id: AuthorityId,
        list: Option<Crl>,
        record: impl FnOnce(Option<&CrlRecord>) -> CrlRecord + Send + 'static,
    ) -> Result<Changed<()>, ControlError> {
        let control = self.clone();
        // A task of its own, as for every change.
        let made = tokio::spawn(async move {
            let _staged = control.crls.stage(list.map(|crl| (id, crl))).await;
            let plan = move |state: &State| -> Result<_, ControlError> {
                only_of_its_key(state, &*uploaded(state, id)?)?;
                let before = state.crl(id).map(|before| &**before);
                Ok((vec![Change::SetCrl(record(before))], ()))
            };
            control.make(intent, plan).await
        });
        made.await.unwrap_or(Err(ControlError::Interrupted))
    }
}

/// An uploaded authority.
fn uploaded(state: &State, id: AuthorityId) -> Result<Arc<Authority>, ControlError> {
    let record = state.authority(id).filter(|record| record.kind == AuthorityKind::Uploaded);
    let record = record.ok_or(ModelError::NotFound(RecordKey::Authority(id)))?;
    Ok(Arc::new(public_authority(record).map_err(CrlRefusal::from)?))
}

/// Revocations go by the key that issued a certificate, so two lists of one key would undo each other.
fn only_of_its_key(state: &State, authority: &Authority) -> Result<(), ControlError> {
    for record in state.crls().filter(|record| record.authority != authority.id()) {
        let other = uploaded(state, record.authority)?;
        if other.key_hash() == authority.key_hash() {
            return Err(CrlRefusal::SharedKey(other.name().to_owned(), other.id()).into());
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
