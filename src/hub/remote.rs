//! The hub itself: what a repository holds, and the bytes of a file from any place on.
//!
//! Everything that opens a socket is here. Responsible for turning what goes wrong there into what can be done about it
//! ([`Fault`]); not for trying again.

use std::error::Error as _;
use std::pin::{Pin, pin};
use std::time::Duration;

use hf_hub::repository::RepoTreeEntry;
use hf_hub::repository::download::HFByteStream;
use hf_hub::{HFClient, HFClientSync, HFError, HFResult};

use super::checksum::{Checksum, is_hex};
use super::control::Control;
use super::listing::{Listing, Wanted};
use super::runtime::{Waited, wait, within};
use super::settings::{HubSettings, Line};
use super::{Entry, catalog};
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Files of a repository beyond which it is no model of ours.
const MOST_FILES: usize = 1_000;

/// What went wrong, and what can be done about it.
#[derive(Debug)]
pub enum Fault {
    /// It may go better in a while; the hub may have said in which.
    Passing {
        /// What went wrong, in words.
        why: String,
        /// How long the hub wants to be left alone.
        after: Option<Duration>,
    },
    /// There is nothing from that place of the file on.
    BeyondEnd,
    /// The user wants no more, or holds it.
    Interrupted,
    /// Trying again does not help.
    Final(Error),
}

/// A hub that can be asked.
pub struct Remote {
    client: HFClient,
    sync: HFClientSync,
    address: String,
    stall: Duration,
}

/// The bytes of a file, as they come.
pub struct Body {
    stream: HFByteStream,
    /// How many the server says there will be.
    pub length: Option<u64>,
    stall: Duration,
}

impl Remote {
    /// The hub of these settings; opens no connection yet.
    ///
    /// # Errors
    /// When the user wants no network, or the address is none.
    pub fn new(settings: &HubSettings) -> Result<Self> {
        if settings.line == Line::Offline {
            return Err(Error::new(ErrorKind::Network, "HF_HUB_OFFLINE is set, so nothing can be downloaded").with_remedy(Remedy::GoOnline));
        }
        let unusable =
            |e: HFError| Error::new(ErrorKind::Network, format!("the hub {} cannot be used: {}", settings.address(), reason(&e)));
        // Trying again is for `fetch`, which knows what is here already and hears when the user wants no more.
        let mut builder = HFClient::builder().cache_dir(&settings.cache).retry_max_attempts(0);
        builder = builder.user_agent(concat!("hearken/", env!("CARGO_PKG_VERSION")));
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint(endpoint);
        }
        let client = builder.build().map_err(unusable)?;
        let sync = HFClientSync::from_inner(client.clone()).map_err(unusable)?;
        Ok(Self { client, sync, address: settings.address().to_owned(), stall: settings.patience.stall })
    }

    /// What the repository of `entry` holds of it at its revision.
    ///
    /// # Errors
    /// When it cannot be reached, or does not hold what a model is.
    pub fn listing(&self, entry: &Entry, control: &std::sync::Arc<Control>) -> Result<Listing, Fault> {
        let (owner, name) = entry.repository().map_err(Fault::Final)?;
        // `blobs=true` is how the hub is asked for sizes and SHA-256 (huggingface_hub's `files_metadata`); hf-hub has no word for it.
        let asked = format!("{name}/revision/{}?blobs=true", quoted(&entry.revision));
        let (client, owner_of) = (self.client.clone(), owner.to_owned());
        let info = self.ask(control, "the hub does not answer", move || async move { client.model(owner_of, asked).info().send().await });
        let info = info.map_err(|fault| self.named(fault, entry))?;
        let commit = info.sha.filter(|sha| is_hex(sha, 40)).ok_or_else(|| self.strange("does not say which commit it is"))?;
        let mut files = Vec::new();
        let mut small = Vec::new();
        for file in info.siblings.unwrap_or_default().into_iter().filter(|file| entry.wants(&file.rfilename)) {
            if !catalog::is_safe(&file.rfilename) || files.len() + small.len() >= MOST_FILES {
                return Err(self.strange(&format!("lists {:?}, which is no file of a model", file.rfilename)));
            }
            let lfs = file.lfs.as_ref();
            let size = file.size.or_else(|| lfs.and_then(|lfs| lfs.size));
            match (lfs.and_then(|lfs| Checksum::sha256(lfs.sha256.as_deref()?)), size) {
                (Some(checksum), Some(size)) => files.push(Wanted { path: file.rfilename, size, checksum }),
                _ => small.push(file.rfilename),
            }
        }
        files.extend(self.small_files(entry, &commit, &small, control)?);
        if files.is_empty() {
            return Err(Fault::Final(
                self.error(ErrorKind::Model, format!("{owner}/{name} holds no file of a model that Hearken knows"))
                    .with_remedy(Remedy::ChooseOtherModel),
            ));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let hub = format!("{owner}/{name}");
        Ok(Listing { hub, revision: entry.revision.clone(), commit, files, checked: Default::default() })
    }

    /// Sizes and checksums of files that lie in git itself.
    fn small_files(&self, entry: &Entry, commit: &str, paths: &[String], control: &std::sync::Arc<Control>) -> Result<Vec<Wanted>, Fault> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let (owner, name) = entry.repository().map_err(Fault::Final)?;
        let (client, owner, name) = (self.client.clone(), owner.to_owned(), name.to_owned());
        let (asked, revision) = (paths.to_vec(), commit.to_owned());
        let found = self.ask(control, "the hub does not answer", move || async move {
            client.model(owner, name).get_paths_info().paths(asked).revision(revision).send().await
        });
        let found = found.map_err(|fault| self.named(fault, entry))?;
        let wanted = found.into_iter().filter_map(|entry| match entry {
            RepoTreeEntry::File { oid, size, path, .. } if paths.contains(&path) => {
                Some(Wanted { path, size, checksum: Checksum::git_sha1(&oid)? })
            }
            _ => None,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        match paths.iter().find(|path| !wanted.iter().any(|file| file.path == **path)) {
            Some(missing) => Err(self.strange(&format!("gives no checksum of {missing}"))),
            None => Ok(wanted),
        }
    }

    /// The bytes of `file` from `start` on.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn open(&self, listing: &Listing, file: &Wanted, start: u64, control: &std::sync::Arc<Control>) -> Result<Body, Fault> {
        let (owner, name) = listing.hub.split_once('/').unwrap_or(("", &listing.hub));
        let (client, owner, name) = (self.client.clone(), owner.to_owned(), name.to_owned());
        let (path, commit, range) = (file.path.clone(), listing.commit.clone(), start..file.size);
        let opened = self.ask(control, "the hub does not answer", move || async move {
            let repository = client.model(owner, name);
            let request = repository.download_file_stream().filename(path).revision(commit);
            // From the start no range is asked for, so that a server which knows none is as good as any.
            if range.start > 0 { request.range(range).send().await } else { request.send().await }
        });
        let (length, stream) = opened?;
        Ok(Body { stream, length, stall: self.stall })
    }

    /// Awaits what `request` makes, for as long as a connection may be silent.
    fn ask<T, F>(&self, control: &std::sync::Arc<Control>, late: &str, request: impl FnOnce() -> F + Send + 'static) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = HFResult<T>>,
    {
        let (stall, control) = (self.stall, std::sync::Arc::clone(control));
        let waited = within(&self.sync, move || {
            let mut future = pin!(request());
            wait(stall, || control.goes_on(), |context| future.as_mut().poll(context))
        });
        match waited {
            Some(Waited::Ready(Ok(made))) => Ok(made),
            Some(Waited::Ready(Err(e))) => Err(self.fault(&e)),
            Some(Waited::Late) => Err(Fault::Passing { why: format!("{late} ({})", self.address), after: None }),
            Some(Waited::Stopped) => Err(Fault::Interrupted),
            None => Err(Fault::Final(Error::internal("the client of the hub does not run"))),
        }
    }

    fn fault(&self, error: &HFError) -> Fault {
        let last = |kind, why: String| {
            let remedy = Some(Remedy::SetToken).filter(|_| kind == ErrorKind::Access);
            Fault::Final(self.error(kind, why).with_remedy(remedy))
        };
        match error {
            HFError::RateLimited { retry_after, .. } => {
                Fault::Passing { why: "the hub is asked too often".into(), after: *retry_after }
            }
            HFError::AuthRequired { .. } => last(
                ErrorKind::Access,
                "it wants to know who asks (401): the repository does not exist, or only accounts may read it and HF_TOKEN is not a valid token"
                    .into(),
            ),
            HFError::Forbidden { .. } => {
                last(ErrorKind::Access, "this account may not read the repository (403): its page says how to ask for access".into())
            }
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } | HFError::EntryNotFound { .. } => {
                last(ErrorKind::Model, "it holds no such repository, revision or file (404)".into())
            }
            HFError::Http { context } => match context.status.as_u16() {
                416 => Fault::BeyondEnd,
                408 | 425 | 429 | 500..=599 => Fault::Passing { why: format!("the hub answers {}", context.status), after: None },
                _ => last(ErrorKind::Network, format!("it answers {}", context.status)),
            },
            HFError::Json(_) | HFError::MalformedResponse { .. } => self.strange("answers with something else than expected"),
            HFError::InvalidParameter(_) | HFError::Url(_) => last(ErrorKind::Arguments, reason(error)),
            HFError::Request { source, .. } if source.is_decode() => self.strange("answers with something else than expected"),
            other => Fault::Passing { why: reason(other), after: None },
        }
    }

    /// What answers is perhaps no hub at all.
    fn strange(&self, what: &str) -> Fault {
        Fault::Final(
            self.error(ErrorKind::Network, format!("it {what}; does a network here want you to sign in first?"))
                .with_remedy(Remedy::CheckConnection),
        )
    }

    /// An error that names the hub.
    fn error(&self, kind: ErrorKind, why: String) -> Error {
        Error::new(kind, why).while_doing(format_args!("the hub {}", self.address))
    }

    /// The fault with the repository named, where that is what it is about.
    fn named(&self, fault: Fault, entry: &Entry) -> Fault {
        match fault {
            Fault::Final(error) => {
                let what = format!("{} at {}", entry.hub.as_deref().unwrap_or(&entry.name), entry.revision);
                Fault::Final(error.while_doing(what))
            }
            other => other,
        }
    }
}

impl Body {
    /// The next bytes; None at the end.
    ///
    /// # Errors
    /// When the connection breaks or is silent for too long, or the user holds or stops it.
    pub fn next(&mut self, control: &Control) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
        match wait(self.stall, || control.goes_on(), |context| Pin::new(&mut *self.stream).poll_next(context)) {
            Waited::Ready(Some(Ok(bytes))) => Ok(Some(bytes)),
            Waited::Ready(None) => Ok(None),
            Waited::Ready(Some(Err(e))) => Err(Fault::Passing { why: format!("the connection broke: {}", reason(&e)), after: None }),
            Waited::Late => Err(Fault::Passing { why: format!("nothing came for {:.0} s", self.stall.as_secs_f64().ceil()), after: None }),
            Waited::Stopped => Err(Fault::Interrupted),
        }
    }
}

/// The innermost reason of an error: the outer ones repeat addresses, in which there may be keys.
fn reason(error: &HFError) -> String {
    let mut source: Option<&dyn std::error::Error> = match error {
        HFError::Request { source, .. } => Some(source),
        other => other.source(),
    };
    let mut text = match (error, source) {
        (HFError::Request { .. }, Some(_)) => "the connection failed".to_owned(),
        _ => error.to_string(),
    };
    while let Some(inner) = source {
        source = inner.source();
        if source.is_none() && !inner.to_string().contains("://") {
            text = inner.to_string();
        }
    }
    text
}

/// A revision as one part of an address.
fn quoted(revision: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    revision.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_cannot_leave_its_place_in_the_address() {
        assert_eq!(quoted("refs/pr/1?x=#"), "refs%2Fpr%2F1%3Fx%3D%23");
        assert_eq!(quoted("v1.0-rc_2~"), "v1.0-rc_2~");
    }
}
