//! The steps of a renewal, taken: new content, written over what was read.

use kube::Client;

use super::authority;
use super::content::{Authority, Content, Held};
use super::plan::{Period, Step};
use super::secret::Read;
use super::{Managed, ManagedError};

impl Managed {
    /// Takes a step over what was read; `serves` is what this replica serves. Another replica may have come first: what the
    /// Secret holds then is to be read again. False if there was nothing to write.
    pub(super) async fn take(
        &self,
        client: &Client,
        step: &Step,
        over: Read,
        serves: Option<&Content>,
    ) -> Result<bool, ManagedError> {
        let content = match (&over.held, serves) {
            (Held::Ours(content), _) => Some(content.clone()),
            (Held::Nothing, serves) => serves.map(Content::without_key),
            (Held::Foreign(_), _) => return Ok(false),
        };
        let Some(next) = self.after(step, content, over.now, serves)? else { return Ok(false) };
        if self.write(client, over, &next).await? {
            let said = match step {
                Step::Begin => "the serving certificate was made",
                Step::Introduce(_) => "a new CA was made; a certificate of it follows once the API server trusts it",
                Step::Sign => "the serving certificate was renewed",
                Step::Adopt => "the CA of the certificate that is served here was put back",
                Step::Retire(_) => "the last certificate of an old CA has ended; the CA was removed",
                Step::Wait(_) | Step::AwaitTrust => return Ok(true),
            };
            tracing::info!(secret = %self, "{said}");
        }
        Ok(true)
    }

    /// The content after a step; `None` after one that changes nothing.
    fn after(
        &self,
        step: &Step,
        content: Option<Content>,
        now: i64,
        serves: Option<&Content>,
    ) -> Result<Option<Content>, rcgen::Error> {
        let chosen = |authorities: &[Authority], kept: &[usize]| -> Vec<Authority> {
            kept.iter().filter_map(|position| authorities.get(*position)).cloned().collect()
        };
        let next = match (step, content) {
            (Step::Begin, _) => {
                let (authority, signing_key) = self.authority(now)?;
                Some(self.signed(vec![authority], signing_key, now)?)
            }
            (Step::Introduce(kept), Some(content)) => {
                let (authority, signing_key) = self.authority(now)?;
                let mut authorities = vec![authority];
                authorities.extend(chosen(&content.authorities, kept));
                Some(Content { authorities, signing_key: Some(signing_key), ..content })
            }
            (Step::Sign, Some(Content { authorities, signing_key: Some(signing_key), .. })) => {
                Some(self.signed(authorities, signing_key, now)?)
            }
            (Step::Adopt, Some(mut content)) => {
                content.authorities.extend(serves.and_then(Content::signer).cloned());
                Some(content)
            }
            (Step::Retire(kept), Some(content)) => {
                Some(Content { authorities: chosen(&content.authorities, kept), ..content })
            }
            _ => None,
        };
        Ok(next)
    }

    fn authority(&self, now: i64) -> Result<(Authority, String), rcgen::Error> {
        let made = authority::authority(Period::from(now, self.lifetimes.authority))?;
        let authority = Authority::read(&made.certificate).ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok((authority, made.key))
    }

    /// A certificate that the first of these CAs signed. It does not outlive the CA.
    fn signed(&self, authorities: Vec<Authority>, signing_key: String, now: i64) -> Result<Content, rcgen::Error> {
        let mut period = Period::from(now, self.lifetimes.leaf);
        if let Some(authority) = authorities.first() {
            period.ends = period.ends.min(authority.period.ends);
        }
        let host = format!("{}.{}.svc", self.service, self.namespace);
        let made = authority::leaf(&host, period, &signing_key)?;
        let signing_key = Some(signing_key);
        Ok(Content { certificate: made.certificate, key: made.key, authorities, signing_key })
    }
}
