//! The time in which a serving certificate is valid, and what is said outside it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::lock::lock;
use crate::server::App;

/// The longest wait between two looks at the clock: it may be set while the server waits for the next end or beginning.
const RECHECK: Duration = Duration::from_mins(10);

/// When each certificate of a chain is valid, the server's own first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validity(Vec<Period>);

/// Seconds since 1970. Both ends are part of the period (RFC 5280, 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    begins: i64,
    ends: i64,
}

/// A certificate of the chain that is not valid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// Position in the chain; 0 is the server's own certificate.
    position: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Expired(i64),
    Early(i64),
}

impl Validity {
    /// The periods of a chain; `None` where a certificate of it is not X.509.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let period = |certificate: &CertificateDer<'_>| {
            let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
            let validity = parsed.validity();
            Some(Period { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
        };
        chain.iter().map(period).collect::<Option<_>>().map(Self)
    }

    /// The end of the server's own certificate, in seconds since 1970.
    pub fn ends(&self) -> i64 {
        self.0.first().map_or(0, |period| period.ends)
    }

    /// The first certificate of the chain that is not valid at that time.
    pub fn invalid(&self, now: i64) -> Option<Invalid> {
        let what = |period: &Period| match period {
            Period { ends, .. } if *ends < now => Some(What::Expired(*ends)),
            Period { begins, .. } if *begins > now => Some(What::Early(*begins)),
            _ => None,
        };
        let mut found = self.0.iter().enumerate();
        found.find_map(|(position, period)| what(period).map(|what| Invalid { position, what }))
    }

    /// The next time at which one of them begins or ceases to be valid.
    fn next_change(&self, now: i64) -> Option<i64> {
        let changes = self.0.iter().flat_map(|period| [period.begins, period.ends.saturating_add(1)]);
        changes.filter(|at| *at > now).min()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            0 => out.write_str("the serving certificate ")?,
            position => write!(out, "certificate {} of the serving chain ", position + 1)?,
        }
        match self.what {
            What::Expired(at) => write!(out, "expired at {}: API servers refuse it; replace it", shown(at)),
            What::Early(at) => {
                write!(out, "is not valid before {}: API servers refuse it until then; check the clock", shown(at))
            }
        }
    }
}

/// RFC 3339. A certificate without a known end says the year 9999, of whose last day a `Timestamp` has not every second.
fn shown(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s since 1970"), |time| time.to_string())
}

/// The validity of the certificate that is served now, and its renewal, where that is ours to make.
#[derive(Debug, Default)]
pub struct Served(watch::Sender<Validity>, Mutex<Option<Renewal>>);

#[derive(Debug)]
struct Renewal {
    /// Seconds since 1970.
    by: i64,
    /// What keeps it from being renewed.
    trouble: String,
}

impl Served {
    /// Another certificate is served from now on.
    pub fn replace(&self, validity: Validity) {
        self.0.send_replace(validity);
    }

    /// It should be renewed by that time, in seconds since 1970, and this keeps it from being renewed.
    pub fn expect_renewal(&self, by: Option<i64>, trouble: Option<String>) {
        *lock(&self.1) = by.map(|by| Renewal {
            by,
            trouble: trouble.unwrap_or_else(|| "by the clock of the API server it is not due".to_owned()),
        });
    }

    /// What to say of a renewal that is overdue.
    pub fn overdue(&self) -> Option<String> {
        let renewal = lock(&self.1);
        let Renewal { by, trouble } = renewal.as_ref().filter(|renewal| renewal.by < Timestamp::now().as_second())?;
        Some(format!("the serving certificate should have been renewed by {}: {trouble}", shown(*by)))
    }

    /// The certificate of the chain that is not valid now, if any.
    pub fn invalid(&self) -> Option<Invalid> {
        self.0.borrow().invalid(Timestamp::now().as_second())
    }
}

/// Says in the log that the certificate that is served is not valid, when it is taken into use and when its time begins
/// or ends. Never returns.
pub async fn watch(app: Arc<App>) {
    let mut served = app.certificate.0.subscribe();
    loop {
        let validity = served.borrow_and_update().clone();
        let mut said = None;
        let replaced = loop {
            let now = Timestamp::now().as_second();
            let invalid = validity.invalid(now);
            app.metrics.certificate_invalid.set(i64::from(invalid.is_some()));
            match &invalid {
                Some(invalid) if said != Some(Some(*invalid)) => tracing::warn!("{invalid}"),
                None if said.is_some_and(|before| before.is_some()) => {
                    tracing::info!("the serving certificate is valid");
                }
                _ => {}
            }
            said = Some(invalid);
            let until = validity.next_change(now).map(|at| u64::try_from(at - now).unwrap_or_default());
            let wait = until.map_or(RECHECK, |seconds| Duration::from_secs(seconds).min(RECHECK));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = served.changed() => break changed,
            }
        };
        if replaced.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Period, Validity};

    #[test]
    fn a_chain_is_valid_while_each_of_its_certificates_is() {
        let chain = Validity(vec![Period { begins: 10, ends: 20 }, Period { begins: 5, ends: 15 }]);
        let said = |now| chain.invalid(now).map(|invalid| invalid.to_string());
        let early = "the serving certificate is not valid before 1970-01-01T00:00:10Z: API servers refuse it until then; \
                     check the clock";
        assert_eq!(said(9).as_deref(), Some(early));
        assert_eq!((said(10), said(15)), (None, None));
        let intermediate =
            "certificate 2 of the serving chain expired at 1970-01-01T00:00:15Z: API servers refuse it; replace it";
        assert_eq!(said(16).as_deref(), Some(intermediate));
        assert!(said(21).is_some_and(|text| text.starts_with("the serving certificate expired at ")));
        let changes: Vec<_> = [0, 5, 10, 15, 16, 20, 21].map(|now| chain.next_change(now)).into();
        assert_eq!(changes, [Some(5), Some(10), Some(16), Some(16), Some(21), Some(21), None]);
    }

    #[test]
    fn an_end_that_nobody_knows_is_no_end() {
        let endless = Validity(vec![Period { begins: 0, ends: 253_402_300_799 }]);
        assert_eq!(endless.invalid(4_000_000_000), None);
        assert!(endless.invalid(i64::MAX).is_some_and(|text| text.to_string().contains("253402300799 s")));
    }
}
